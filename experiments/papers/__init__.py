"""Reproductions of papers, one folder per paper."""
