"""Benchmarks: each is a command that measures against the usual alternative in the same run."""
