"""One stroke style to another without pairs: the cycle loss against no cycle loss."""
