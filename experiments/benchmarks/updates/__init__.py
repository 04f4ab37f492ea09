"""Compressed updates: quality against bytes, compared with plain Flower and peers."""
