"""Tickets by pruning and regeneration against tickets by iterative pruning, in a federation."""
