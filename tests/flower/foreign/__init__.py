"""A plain Flower app that knows nothing of this project: a PyTorch classifier on synthetic data."""
