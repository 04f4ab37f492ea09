"""Shared helpers of all packages: checked settings, state trees, atomic files, memory."""
