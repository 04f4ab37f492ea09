"""Compressed updates: quality against bytes, beside plain Flower and peers."""
