"""SNGAN: shapes, seeds, the norm of its layers, also under masks, and the hinge loss."""

import numpy as np
import pytest
import torch

from flwr_gan.errors import ConfigError
from flwr_gan.gan import GanConfig, WganGpTrainer, build_networks, sample
from flwr_gan.gan.batches import Batch
from flwr_gan.gan.critic_gradients import hinge_gradients
from flwr_gan.gan.losses import hinge_loss
from flwr_gan.gan.sngan import build_spectral_networks
from flwr_gan.gan.weights import network_arrays
from flwr_gan.prune.threshold_masks import ThresholdedNetwork

SETTINGS = {"latent_dim": 5, "batch_size": 8, "critic_iterations": 2}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def make_trainer(side=32, depth=2, **settings):
    generator, critic = build_spectral_networks(depth, side=side, latent_dim=5)
    config = GanConfig(critic_gradients="autograd", **SETTINGS, **settings)
    return WganGpTrainer(generator, critic, config=config, loss="hinge")


def images(side=32, count=16):
    return np.random.default_rng(0).uniform(-1, 1, (count, side, side)).astype(np.float32)


def largest(layer):
    """Return the largest singular value of what the layer computes with."""
    weight = layer.weight.detach()
    seen = weight / layer.norm(weight)
    return torch.linalg.matrix_norm(seen.flatten(1), 2).item()


@pytest.mark.parametrize(("side", "num_classes"), [(32, 1), (64, 1), (32, 3)])
def test_shapes_range_and_seed(side, num_classes):
    before = torch.random.get_rng_state()
    generator, critic = build_spectral_networks(2, side=side, num_classes=num_classes, seed=5)
    again, other = build_spectral_networks(2, side=side, num_classes=num_classes, seed=5)
    assert torch.equal(before, torch.random.get_rng_state())
    x_NTC = sample(generator, np.zeros(6, np.int64), rng=seeded())
    assert x_NTC.shape == (6, side, side)
    assert 0.01 < np.abs(x_NTC).max() <= 1
    for network, same in ((generator, again), (critic, other)):
        for name, array in network_arrays(network).items():
            np.testing.assert_array_equal(array, network_arrays(same)[name])
    labels = torch.zeros(6, dtype=torch.int64)
    score_B = critic(torch.from_numpy(x_NTC), labels)
    assert score_B.shape == (6,)
    assert torch.equal(score_B, other(torch.from_numpy(x_NTC), labels))


def test_labels_matter_only_to_conditional_networks():
    x = torch.from_numpy(images(count=2))
    for num_classes, differs in ((1, False), (3, True)):
        _, critic = build_spectral_networks(1, num_classes=num_classes)
        with torch.no_grad():
            first = critic(x, torch.tensor([0, 0]))
            second = critic(x, torch.tensor([num_classes - 1] * 2))
        assert bool((first != second).any()) == differs


def test_every_layer_has_a_spectral_norm_near_one_before_and_after_training():
    trainer = make_trainer(generator_lr=2e-3, critic_lr=2e-3)
    for layer in trainer.critic.layers:
        assert largest(layer) == pytest.approx(1, abs=0.02)
    before = network_arrays(trainer.critic)
    trainer.train(images(), np.zeros(16, np.int64), iterations=20, rng=seeded())
    assert any(
        np.abs(a - before[n]).max() > 1e-3 for n, a in network_arrays(trainer.critic).items()
    )
    for layer in trainer.critic.layers:
        assert largest(layer) == pytest.approx(1, abs=0.05)


def test_a_masked_layer_is_normalised_after_its_mask():
    _, critic = build_spectral_networks(2)
    masks = ThresholdedNetwork(critic, strength=0.0)
    with torch.no_grad():
        for layer in critic.layers:
            mask = layer.parametrizations.weight[0]
            mask.raw_threshold.fill_(layer.parametrizations.weight.original.abs().median())
    assert all(0.3 < mask.mean() < 0.7 for mask in masks.mask.values())
    x, y = torch.from_numpy(images()), torch.zeros(16, dtype=torch.int64)
    for _ in range(30):
        critic(x, y)
    for layer in critic.layers:
        assert largest(layer) == pytest.approx(1, abs=0.02)


def test_scoring_without_gradients_leaves_the_iteration_where_it_is():
    _, critic = build_spectral_networks(2)
    x, y = torch.from_numpy(images()), torch.zeros(16, dtype=torch.int64)
    before = [layer.u_H.clone() for layer in critic.layers]
    with torch.no_grad():
        critic(x, y)
    assert all(map(torch.equal, before, [layer.u_H for layer in critic.layers]))
    critic(x, y)
    assert not all(map(torch.equal, before, [layer.u_H for layer in critic.layers]))


def test_the_hinge_loss_by_hand():
    real, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-3.0, -0.25, 1.0])
    assert hinge_loss(real, fake).item() == pytest.approx((0 + 0.5 + 2) / 3 + (0 + 0.75 + 2) / 3)


def test_hinge_gradients_tell_loss_estimate_and_no_penalty():
    config = GanConfig(channels=(8, 6), critic_hidden=(12, 10))
    _, critic = build_networks(config, num_vectors=4, num_components=2, num_classes=3, seed=0)
    x, y = torch.randn(2, 9, 4, 2, generator=seeded()), torch.arange(9) % 3
    measures, gradients = hinge_gradients(critic, Batch(x[0], x[1], y, torch.zeros(9)), 10.0)
    with torch.no_grad():
        real, fake = critic(x[0], y), critic(x[1], y)
    wanted = [hinge_loss(real, fake), real.mean() - fake.mean(), torch.tensor(0.0)]
    torch.testing.assert_close(measures, torch.stack(wanted))
    loss = hinge_loss(critic(x[0], y), critic(x[1], y))
    for found, expected in zip(
        gradients, torch.autograd.grad(loss, list(critic.parameters())), strict=True
    ):
        torch.testing.assert_close(found, expected)


def test_the_hinge_loss_trains_both_and_is_deterministic():
    before = network_arrays(make_trainer().generator)
    results = []
    for _ in range(2):
        trainer = make_trainer()
        log = trainer.train(images(), np.zeros(16, np.int64), iterations=3, rng=seeded())
        results.append(network_arrays(trainer.generator))
    assert log.gradient_penalty == 0
    assert 0 < log.critic_loss < 4
    assert all(np.array_equal(results[0][n], results[1][n]) for n in before)
    assert not any(np.array_equal(before[n], results[0][n]) for n in before)


def test_unknown_sides_and_losses_are_named():
    with pytest.raises(ConfigError, match="side=28 is not allowed: give 32 or 64"):
        build_spectral_networks(2, side=28)
    networks = build_spectral_networks(1)
    config = GanConfig(critic_gradients="autograd", **SETTINGS)
    with pytest.raises(ConfigError, match="loss='mse' is not allowed: give wasserstein or hinge"):
        WganGpTrainer(*networks, config=config, loss="mse")
    vectors = build_networks(GanConfig(), num_vectors=4, num_components=2, num_classes=3, seed=0)
    with pytest.raises(ConfigError, match="closed_form is not for the hinge loss: give autograd"):
        WganGpTrainer(*vectors, config=GanConfig(), loss="hinge")
