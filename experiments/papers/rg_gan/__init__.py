"""Paper 003: pruning and regeneration during the training of a GAN."""
