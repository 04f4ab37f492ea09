"""The federated GAN as a Flower app: its clients, its server loop and what a node keeps."""
