"""Conditional WGAN-GP: networks, losses, training and sampling (paper 000)."""

from flwr_gan.gan.build import build_networks
from flwr_gan.gan.config import GanConfig
from flwr_gan.gan.networks import Critic, Generator
from flwr_gan.gan.sampling import sample
from flwr_gan.gan.threads import torch_threads
from flwr_gan.gan.trainer import WganGpTrainer
from flwr_gan.gan.training_log import TrainLog
from flwr_gan.gan.weights import load_network_arrays, network_arrays

__all__ = [
    "Critic",
    "GanConfig",
    "Generator",
    "TrainLog",
    "WganGpTrainer",
    "build_networks",
    "load_network_arrays",
    "network_arrays",
    "sample",
    "torch_threads",
]
