"""Paper 004: small generators that learn from a large one."""
