"""The generator between two of its updates makes what it would make."""

import pytest
import torch

from flwr_gan.gan import Generator
from flwr_gan.gan.sampling import FrozenGenerator, is_plain
from flwr_gan.prune.threshold_masks import ThresholdedNetwork


def generator(kernel_size=3):
    return Generator(4, 3, 5, latent_dim=6, channels=(8, 7), kernel_size=kernel_size, seed=3)


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("rows", [1, 16, 1000])
def test_frozen_samples_are_those_of_the_generator(kernel_size, rows, monkeypatch):
    monkeypatch.setattr("flwr_gan.gan.sampling.VALUES_AT_A_TIME", rows * 8 * 4)
    network = generator(kernel_size)
    rng = torch.Generator().manual_seed(0)
    z, y = torch.randn(50, 6, generator=rng), torch.randint(5, (50,), generator=rng)
    made = FrozenGenerator(network)(z, y)
    assert not made.requires_grad
    assert made.is_contiguous()
    torch.testing.assert_close(made, network(z, y).detach(), rtol=1e-5, atol=1e-6)


def test_a_masked_generator_keeps_its_masks():
    network = generator()
    masks = ThresholdedNetwork(network, strength=1e-3, pace=0.1)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.endswith("raw_threshold"):
                weight.fill_(1.0)
    assert not all(mask.all() for mask in masks.mask.values())
    assert not is_plain(network)
    z, y = torch.randn(9, 6, generator=torch.Generator().manual_seed(0)), torch.arange(9) % 5
    assert torch.equal(FrozenGenerator(network)(z, y), network(z, y).detach())
