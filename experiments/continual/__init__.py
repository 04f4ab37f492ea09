"""Continual learning with regeneration, replay and silence, and without each of them."""
