"""Training under a mask that is sparse enough for sparse products."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import torch

from flwr_gan.gan import (
    GanConfig,
    WganGpTrainer,
    load_network_arrays,
    network_arrays,
    sample,
)
from flwr_gan.gan.batched import train_together
from flwr_gan.gan.sparse_layers import has_sparse_layers, sparse_layers, zero_weights
from tests.gan.test_batched import K, assert_close, everything
from tests.gan.test_batched import training as make

CONFIG = GanConfig(
    latent_dim=4,
    channels=(32, 16),
    critic_hidden=(16, 12),
    batch_size=16,
    critic_iterations=3,
    betas=(0.5, 0.9),
)


def training(seed=0, *, masked=True):
    of, rng = make(seed, CONFIG, count=40), np.random.default_rng(seed)
    keep = {"fc.weight": 0.5, "conv1.weight": 0.08, "conv2.weight": 0.4}
    weights = network_arrays(of.trainer.generator)
    mask = {name: rng.random(a.shape) < keep[name] for name, a in weights.items()}
    return replace(of, mask=mask if masked else None)


def test_training_equals_that_of_dense_layers(monkeypatch):
    sparse, dense = training(), training()
    seen = []

    def watched(generator, pruned):
        block = sparse_layers(generator, pruned)
        with block:
            seen.append(has_sparse_layers(generator))
        return sparse_layers(generator, pruned)

    monkeypatch.setattr("flwr_gan.gan.trainer.sparse_layers", watched)
    sparse.train_alone(iterations=5)
    monkeypatch.setattr("flwr_gan.gan.trainer.sparse_layers", lambda *_: nullcontext())
    dense.train_alone(iterations=5)
    assert seen == [True]
    assert torch.equal(sparse.rng.get_state(), dense.rng.get_state())
    assert_close(everything(sparse), everything(dense))
    for name, array in network_arrays(sparse.trainer.generator).items():
        assert not array[~sparse.mask[name]].any()
        assert array[sparse.mask[name]].all()
    assert not has_sparse_layers(sparse.trainer.generator)


def test_a_seed_gives_the_same_bits_and_so_does_training_in_parts():
    whole, again, parts = training(), training(), training()
    whole.train_alone(iterations=4)
    again.train_alone(iterations=4)
    parts.train_alone(iterations=1)
    parts.train_alone(iterations=3)
    wanted = everything(whole)
    for of in (again, parts):
        for name, array in everything(of).items():
            assert array.tobytes() == wanted[name].tobytes(), name


def test_together_each_is_trained_as_it_would_be_alone():
    alone, together = ([training(0), training(1), training(2, masked=False)] for _ in range(2))
    for of in alone:
        of.train_alone(iterations=3)
    train_together(together, iterations=3)
    for one, other in zip(together, alone, strict=True):
        assert torch.equal(one.rng.get_state(), other.rng.get_state())
        assert_close(everything(one), everything(other))


def test_samples_of_a_ticket_are_those_of_dense_layers(monkeypatch):
    of = training()
    generator, labels_N = of.trainer.generator, np.arange(30) % K
    arrays = network_arrays(generator)
    load_network_arrays(generator, {n: np.where(of.mask[n], a, 0) for n, a in arrays.items()})
    with sparse_layers(generator, zero_weights(generator)):
        assert has_sparse_layers(generator)
    draw = lambda: sample(generator, labels_N, rng=torch.Generator().manual_seed(0))  # noqa: E731
    sparse = draw()
    monkeypatch.setattr("flwr_gan.gan.sampling.sparse_layers", lambda *_: nullcontext())
    np.testing.assert_allclose(sparse, draw(), rtol=1e-5, atol=1e-6)
    assert not has_sparse_layers(generator)


def test_a_training_without_a_mask_may_fill_zeros():
    of = training(masked=False)
    trainer = WganGpTrainer(
        of.trainer.generator, of.trainer.critic, config=replace(CONFIG, generator_lr=0.01)
    )
    zeros = {n: np.zeros_like(a) for n, a in network_arrays(trainer.generator).items()}
    zeros["fc.weight"] = network_arrays(trainer.generator)["fc.weight"]
    zeros["conv2.weight"] = network_arrays(trainer.generator)["conv2.weight"]
    zeros["conv1.weight"][0, 0, 0] = 0.5
    load_network_arrays(trainer.generator, zeros)
    trainer.train(of.x_NTC, of.y_N, iterations=2, rng=of.rng)
    assert np.count_nonzero(network_arrays(trainer.generator)["conv1.weight"][0]) > 90
