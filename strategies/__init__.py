"""Flower strategies that others copy and extend."""
