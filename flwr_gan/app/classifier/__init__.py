"""Classifiers in place of GANs: the same rounds, wire and books, another thing that is trained."""
