"""Federations beside training on all data in one place, and beside each client alone."""
