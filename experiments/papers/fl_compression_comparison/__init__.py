"""Paper 001, a comparison of compression techniques in federated learning, reproduced."""
