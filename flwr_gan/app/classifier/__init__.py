"""Classifiers instead of GANs: the same rounds, wire and bookkeeping for another network."""
