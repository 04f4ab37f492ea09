"""W-DCGAN of paper 004: the size it states, shapes, seeds, and that the trainer takes it."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from flwr_gan.errors import ConfigError
from flwr_gan.gan import GanConfig, WganGpTrainer, sample
from flwr_gan.gan.dcgan import SIDE, DepthGenerator, build_depth_networks, depth_channels
from flwr_gan.gan.weights import network_arrays

SETTINGS = {"batch_size": 4, "critic_iterations": 1, "iterations": 1}


@pytest.mark.parametrize(
    ("depth", "count"), [(2, 28_351), (4, 62_077), (8, 145_657), (16, 377_329), (64, 3_573_697)]
)
def test_generator_has_the_papers_number_of_weights(depth: int, count: int) -> None:
    generator, _ = build_depth_networks(depth)
    assert sum(p.numel() for p in generator.parameters()) == count
    assert count == 672 * depth**2 + 12_831 * depth + 1


def test_largest_generator_has_the_papers_number_of_weights() -> None:
    sizes = [100, *depth_channels(256), 1]
    weights = sum(a * b * 16 + b for a, b in pairwise(sizes))
    assert weights == 47_324_929 == 672 * 256**2 + 12_831 * 256 + 1


@pytest.mark.parametrize("num_classes", [1, 3])
def test_shapes_range_and_seed(num_classes: int) -> None:
    generator, critic = build_depth_networks(2, num_classes=num_classes, seed=5)
    again, _ = build_depth_networks(2, num_classes=num_classes, seed=5)
    labels = np.zeros(6, np.int64)
    x_NTC = sample(generator, labels, rng=torch.Generator().manual_seed(0))
    assert x_NTC.shape == (6, SIDE, SIDE)
    assert np.abs(x_NTC).max() <= 1
    assert np.std(x_NTC) > 0.01
    for name, array in network_arrays(generator).items():
        np.testing.assert_array_equal(array, network_arrays(again)[name])
    scores = critic(torch.from_numpy(x_NTC), torch.zeros(6, dtype=torch.int64))
    assert scores.shape == (6,)
    assert len(critic.features(torch.from_numpy(x_NTC), torch.zeros(6, dtype=torch.int64))) == 5


def test_labels_matter_only_to_conditional_networks() -> None:
    z = torch.randn(2, 100, generator=torch.Generator().manual_seed(1))
    conditional = DepthGenerator(depth_channels(2), num_classes=3)
    different = conditional(z, torch.tensor([0, 1])) != conditional(z, torch.tensor([2, 2]))
    assert bool(different.any())


def test_a_generator_can_start_near_one_colour() -> None:
    generator = DepthGenerator((6, 5), num_channels=3, latent_dim=4, seed=2)
    mean_P = torch.tensor([-0.8, 0.1, -1.0])
    labels = np.zeros(50, np.int64)
    before = sample(generator, labels, rng=torch.Generator().manual_seed(0))
    generator.start_near(mean_P)
    after = sample(generator, labels, rng=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(after.mean(axis=(0, 1, 2)), [-0.8, 0.1, -0.99], atol=0.03)
    assert 0 < after.std(axis=0).mean() < 0.3 * before.std(axis=0).mean()


def test_trainer_trains_it_and_refuses_the_closed_form() -> None:
    generator, critic = build_depth_networks(1)
    before = network_arrays(generator)
    x_NTC = np.random.default_rng(0).uniform(-1, 1, (8, SIDE, SIDE)).astype(np.float32)
    config = GanConfig(**SETTINGS, critic_gradients="autograd")
    trainer = WganGpTrainer(generator, critic, config=config)
    trainer.train(x_NTC, np.zeros(8, np.int64), rng=torch.Generator().manual_seed(0))
    moved = [not np.array_equal(before[n], a) for n, a in network_arrays(generator).items()]
    assert all(moved)
    with pytest.raises(ConfigError, match="critic_gradients=closed_form is not for a DepthCritic"):
        WganGpTrainer(generator, critic, config=GanConfig(**SETTINGS))
