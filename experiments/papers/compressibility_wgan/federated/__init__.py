"""Does sending pruned generators serve federated learning? One shot and many rounds."""
