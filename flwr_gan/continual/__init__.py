"""Continual learning: replay, the decision to upload, quality on what is old and what is new."""
