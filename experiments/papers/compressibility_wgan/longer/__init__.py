"""Paper 000 on one client: dense generator and tickets trained for longer than their search."""
