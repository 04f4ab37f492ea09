"""Data sets as arrays in [-1, 1], drawings as vectors, and splits among clients."""

from flwr_gan.data.dataset import Dataset, Samples
from flwr_gan.data.drawing import strokes_to_vectors, vectors_to_strokes

__all__ = ["Dataset", "Samples", "strokes_to_vectors", "vectors_to_strokes"]
