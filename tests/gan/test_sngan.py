"""SNGAN: shapes, seeds, the norm of its layers, also under masks, and the hinge loss."""

from functools import partial

import numpy as np
import pytest
import torch

from flwr_gan.errors import ConfigError
from flwr_gan.gan import GanConfig, WganGpTrainer, build_networks, sample
from flwr_gan.gan.batches import Batch
from flwr_gan.gan.critic_gradients import gradients_for
from flwr_gan.gan.dcgan import build_depth_networks
from flwr_gan.gan.losses import generator_loss, hinge_loss, original_loss
from flwr_gan.gan.sngan import SpectralCritic
from flwr_gan.gan.weights import network_arrays
from flwr_gan.prune.threshold_masks import ThresholdedNetwork

SETTINGS = {"latent_dim": 5, "batch_size": 8, "critic_iterations": 2, "loss": "hinge"}
build_spectral_networks = partial(build_depth_networks, side=32, critic=SpectralCritic)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def make_trainer(side=32, depth=2, **settings):
    generator, critic = build_spectral_networks(depth, side=side, latent_dim=5)
    config = GanConfig(critic_gradients="autograd", **SETTINGS, **settings)
    return WganGpTrainer(generator, critic, config=config)


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


def test_the_original_loss_is_cross_entropy():
    real, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-3.0, -0.25, 1.0])
    entropy = torch.nn.functional.binary_cross_entropy_with_logits
    wanted = entropy(real, torch.ones(3)) + entropy(fake, torch.zeros(3))
    torch.testing.assert_close(original_loss(real, fake), wanted)

    def critic(fake_BTC, y_B):
        return fake_BTC

    by_generator = generator_loss(critic, fake, torch.zeros(3), original=True)
    torch.testing.assert_close(by_generator, entropy(fake, torch.ones(3)))


@pytest.mark.parametrize(("name", "loss_of"), [("hinge", hinge_loss), ("original", original_loss)])
def test_gradients_of_a_loss_of_scores_tell_it_and_no_penalty(name, loss_of):
    config = GanConfig(
        channels=(8, 6), critic_hidden=(12, 10), loss=name, critic_gradients="autograd"
    )
    _, critic = build_networks(config, num_vectors=4, num_components=2, num_classes=3, seed=0)
    x, y = torch.randn(2, 9, 4, 2, generator=seeded()), torch.arange(9) % 3
    measures, gradients = gradients_for(config)(critic, Batch(x[0], x[1], y, torch.zeros(9)), 10.0)
    with torch.no_grad():
        real, fake = critic(x[0], y), critic(x[1], y)
    wanted = [loss_of(real, fake), real.mean() - fake.mean(), torch.tensor(0.0)]
    torch.testing.assert_close(measures, torch.stack(wanted))
    loss = loss_of(critic(x[0], y), critic(x[1], y))
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


def test_weights_are_clipped_after_each_step():
    generator, critic = build_depth_networks(1, side=8, latent_dim=5)
    config = GanConfig(
        latent_dim=5, batch_size=8, critic_gradients="autograd", loss="original",
        weight_clipping=0.01,
    )  # fmt: skip
    trainer = WganGpTrainer(generator, critic, config=config)
    log = trainer.train(images(8), np.zeros(16, np.int64), iterations=2, rng=seeded())
    assert 0 < log.critic_loss < 2
    largest_weight = max(float(w.detach().abs().max()) for w in critic.parameters())
    assert largest_weight == pytest.approx(0.01)


def test_what_does_not_go_together_is_named():
    with pytest.raises(ConfigError, match="side of an image=30 is not allowed: give 8 or 10 or 12"):
        build_spectral_networks(2, side=30)
    with pytest.raises(ConfigError, match=r"gan\.loss='mse' is not allowed: give wasserstein or"):
        GanConfig(loss="mse")
    with pytest.raises(ConfigError, match=r"gan\.critic_gradients='closed_form' is not allowed"):
        GanConfig(loss="hinge")
    with pytest.raises(ConfigError, match=r"gan\.critic='spectral' is not allowed: give plain, or"):
        GanConfig(critic="spectral")
    config = GanConfig(network="images", critic_gradients="autograd")
    with pytest.raises(ConfigError, match=r"gan\.network=images is not for samples of 10 x 3"):
        build_networks(config, num_vectors=10, num_components=3, num_classes=2, seed=0)
    with pytest.raises(ConfigError, match=r"closed_form is not for a SpectralCritic: give"):
        WganGpTrainer(*build_spectral_networks(1), config=GanConfig())


@pytest.mark.parametrize("critic", ["plain", "spectral"])
@pytest.mark.parametrize("shape", [(8, 8), (28, 28), (32, 32, 3), (48, 48, 2), (64, 64, 3)])
def test_images_of_any_side_and_number_of_channels(critic, shape):
    config = GanConfig(
        network="images", critic=critic, depth=1, latent_dim=5, critic_gradients="autograd",
        batch_size=4, critic_iterations=1, loss="wasserstein" if critic == "plain" else "hinge",
    )  # fmt: skip
    sizes = dict(zip(("num_vectors", "num_components", "num_channels"), shape, strict=False))
    networks = build_networks(config, **sizes, num_classes=3, seed=0)
    x_NTC = np.random.default_rng(0).uniform(-1, 1, (6, *shape)).astype(np.float32)
    trainer = WganGpTrainer(*networks, config=config)
    trainer.train(x_NTC, np.arange(6) % 3, iterations=1, rng=seeded())
    made_NTC = sample(networks[0], np.arange(6) % 3, rng=seeded())
    assert made_NTC.shape == x_NTC.shape
    assert not np.array_equal(made_NTC[0], made_NTC[3])


def test_channels_are_the_last_axis():
    generator, critic = build_depth_networks(1, side=8, num_channels=3, latent_dim=5)
    with torch.no_grad():
        for channel, bias in enumerate((-1.0, 0.0, 1.0)):
            generator.layers[-1].weight[:, channel] = 0
            generator.layers[-1].bias[channel] = bias
    x_NTC = sample(generator, np.zeros(1, np.int64), rng=seeded())
    np.testing.assert_allclose(x_NTC[0, 0, :2], np.tanh([[-1, 0, 1]] * 2), rtol=1e-6)
    with torch.no_grad():
        critic.layers[0].weight[:, 1:] = 0  # it sees the first channel alone
        y = torch.zeros(1, dtype=torch.int64)
        x_BTC = torch.from_numpy(x_NTC)
        other_BTC = x_BTC.clone()
        other_BTC[..., 1] = 0.5
        assert torch.equal(critic(x_BTC, y), critic(other_BTC, y))
        other_BTC[..., 0] = 0.5
        assert not torch.equal(critic(x_BTC, y), critic(other_BTC, y))


def test_an_unconditional_generator_knows_one_class():
    config = GanConfig(network="images", conditional=False, depth=1, critic_gradients="autograd")
    shape = {"num_vectors": 8, "num_components": 8, "num_classes": 10}
    generator, critic = build_networks(config, **shape, seed=0)
    assert generator.num_classes == critic.num_classes == 1
