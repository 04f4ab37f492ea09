"""Trainings in one program against each alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from flwr_gan.core.tree import flatten
from flwr_gan.errors import ConfigError, DataError, TrainingError
from flwr_gan.gan import GanConfig, WganGpTrainer, build_networks, network_arrays
from flwr_gan.gan.batched import Training, alike, train_together

T, C, K = 4, 3, 5
SMALL = GanConfig(
    latent_dim=4,
    channels=(8, 6),
    critic_hidden=(16, 12),
    batch_size=8,
    critic_iterations=3,
    betas=(0.5, 0.9),
)


def training(seed, config=SMALL, *, count=20, **settings):
    networks = build_networks(config, num_vectors=T, num_components=C, num_classes=K, seed=seed)
    rng = np.random.default_rng(seed)
    return Training(
        trainer=WganGpTrainer(*networks, config=config),
        x_NTC=rng.uniform(-1, 1, (count, T, C)).astype(np.float32),
        y_N=rng.integers(K, size=count),
        rng=torch.Generator().manual_seed(seed),
        **settings,
    )


def half_mask(of):
    rng = np.random.default_rng(0)
    weights = network_arrays(of.trainer.generator)
    return {name: rng.random(array.shape) < 0.5 for name, array in weights.items()}


def everything(of):
    return {**network_arrays(of.trainer.generator), **flatten(of.trainer.state_dict())}


def assert_close(found, wanted):
    for name, array in found.items():
        error = np.linalg.norm(array - wanted[name])
        assert error <= 1e-4 * np.linalg.norm(wanted[name]) + 1e-9, name


def several(config):
    """Two that differ in data, one with a mask, one that is pulled to its first weights."""
    mask = half_mask(training(2, config))
    return [
        training(0, config),
        training(1, config, count=33),
        training(2, config, mask=mask),
        training(3, config, count=5, proximal_mu=0.5),
    ]


@pytest.mark.parametrize("fresh_batch", [True, False])
def test_each_is_trained_as_it_would_be_alone(fresh_batch, monkeypatch):
    monkeypatch.setattr("flwr_gan.gan.batches.FAKES_AT_A_TIME", 16)  # two parts an iteration
    config = replace(SMALL, fresh_batch=fresh_batch)
    wanted, found = several(config), several(config)
    for count in (3, 2):  # the second call goes on from the optimisers of the first
        wanted_logs = [of.train_alone(iterations=count) for of in wanted]
        logs = train_together(found, iterations=count)
    for one, other, log, wanted_log in zip(found, wanted, logs, wanted_logs, strict=True):
        assert torch.equal(one.rng.get_state(), other.rng.get_state())
        assert_close(everything(one), everything(other))
        assert log.iterations == wanted_log.iterations
        assert log.critic_loss == pytest.approx(wanted_log.critic_loss, rel=1e-4, abs=1e-5)
        assert log.generator_loss == pytest.approx(wanted_log.generator_loss, rel=1e-4, abs=1e-5)
    pruned = ~found[2].mask["conv1.weight"]
    weight = network_arrays(found[2].trainer.generator)["conv1.weight"]
    assert pruned.any()
    assert not weight[pruned].any()
    assert weight[~pruned].all()


def test_they_differ_from_each_other():
    both = [training(0), training(1)]
    train_together(both, iterations=2)
    first, second = (network_arrays(of.trainer.generator)["fc.weight"] for of in both)
    assert not np.allclose(first, second)


def test_a_loss_that_is_not_finite_leaves_all_as_they_were():
    both = [training(0), training(1)]
    with torch.no_grad():
        both[1].trainer.critic.fc1.weight.fill_(float("nan"))
    before, states = [everything(of) for of in both], [of.rng.get_state() for of in both]
    with pytest.raises(TrainingError, match="critic_loss is nan at iteration 1 of 2"):
        train_together(both, iterations=2)
    for of, arrays, state in zip(both, before, states, strict=True):
        assert torch.equal(of.rng.get_state(), state)
        for name, array in everything(of).items():
            np.testing.assert_array_equal(array, arrays[name])


def other_critic():
    of = training(1)
    torch.nn.utils.parametrizations.weight_norm(of.trainer.critic.fc1)
    return of


def regularised():
    of = training(1)
    zero = lambda: torch.zeros(())  # noqa: E731
    trainer = WganGpTrainer(
        of.trainer.generator, of.trainer.critic, config=SMALL, critic_regulariser=zero
    )
    return replace(of, trainer=trainer)


def ahead():
    of = training(1)
    of.train_alone(iterations=1)
    return of


@pytest.mark.parametrize(
    "make",
    [
        lambda: training(1, replace(SMALL, batch_size=9)),
        lambda: training(1, replace(SMALL, critic_gradients="autograd")),
        other_critic,
        regularised,
        ahead,
    ],
)
def test_trainings_that_are_not_alike_are_refused(make):
    assert alike([training(0), training(1)])
    assert not alike([training(0), make()])
    with pytest.raises(ConfigError, match="not alike"):
        train_together([training(0), make()], iterations=1)


def test_bad_settings_are_refused():
    with pytest.raises(ConfigError, match="iterations=0"):
        train_together([training(0)], iterations=0)
    with pytest.raises(ConfigError, match="not alike"):
        train_together([], iterations=1)
    with pytest.raises(DataError, match="training data"):
        train_together([training(0), training(1, count=0)], iterations=1)
