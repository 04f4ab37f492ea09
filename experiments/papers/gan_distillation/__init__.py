"""Paper 004: distillation of small generators from a large one."""
