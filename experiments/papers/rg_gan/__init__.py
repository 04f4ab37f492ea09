"""Paper 003: pruning and regeneration while a GAN is trained."""
