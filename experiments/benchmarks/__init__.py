"""Measurements: each a command, each against the alternative a user would pick, in the same run."""
