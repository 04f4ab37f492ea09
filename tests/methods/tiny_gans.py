"""GANs of both families that train in a moment, for the tests of pruning."""

import numpy as np
import torch

from flwr_gan.gan import GanConfig, build_networks
from flwr_gan.gan.dcgan import SIDE, DepthCritic, DepthGenerator
from flwr_gan.gan.weights import network_arrays
from flwr_gan.methods import TrainedGan

FAMILIES = ("vectors", "depth")


def tiny_gan(family: str = "vectors", *, seed: int = 0, **settings: object) -> TrainedGan:
    """Return an untrained GAN with 3 classes: hidden channels (8, 6), or (6, 5, 4, 3)."""
    values = {"batch_size": 8, "critic_iterations": 1, "latent_dim": 4, **settings}
    rng = np.random.default_rng(seed)
    y_N = rng.integers(3, size=24)
    if family == "depth":
        config = GanConfig(critic_gradients="autograd", **values)
        generator = DepthGenerator((6, 5, 4, 3), num_classes=3, latent_dim=4, seed=seed)
        for layer in generator.layers:  # zeros would hide a bias in the wrong place
            torch.nn.init.normal_(layer.bias, 0, 0.1, torch.Generator().manual_seed(seed))
        critic = DepthCritic((3, 4, 5, 6), num_classes=3, seed=seed)
        shape = (24, SIDE, SIDE)
    else:
        config = GanConfig(channels=(8, 6), critic_hidden=(12, 10), **values)
        generator, critic = build_networks(
            config, num_vectors=4, num_components=2, num_classes=3, seed=seed
        )
        shape = (24, 4, 2)
    x_NTC = rng.uniform(-1, 1, shape).astype(np.float32)
    return TrainedGan(generator=generator, critic=critic, x_NTC=x_NTC, y_N=y_N, config=config)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def outputs(generator: torch.nn.Module) -> np.ndarray:
    """Return samples for fixed latent vectors and labels."""
    z_BL = torch.randn(16, generator.latent_dim, generator=seeded(7))
    with torch.no_grad():
        return generator(z_BL, torch.arange(16) % 3).numpy()


def same_arrays(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    a, b = network_arrays(first), network_arrays(second)
    return list(a) == list(b) and all(np.array_equal(a[name], b[name]) for name in a)
