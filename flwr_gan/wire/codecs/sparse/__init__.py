"""The sparse codec: which weights are there, and their values, each near its entropy."""
