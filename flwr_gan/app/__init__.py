"""The federated GAN as a Flower app: clients, server loop and node state."""
