"""Faults of machines and networks: in this process, and on real processes (``make soak``)."""
