"""The sparse codec: the mask of nonzero weights and their values, each near its entropy."""
