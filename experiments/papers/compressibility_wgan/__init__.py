"""Paper 000, Compressibility of WGANs in a Distributed Learning Environment, done again."""
