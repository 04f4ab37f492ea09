"""The search for a ticket, level by level."""

import numpy as np
import pytest
import torch

from flwr_gan.core.tree import flatten
from flwr_gan.gan import (
    GanConfig,
    WganGpTrainer,
    build_networks,
    load_network_arrays,
    network_arrays,
)
from flwr_gan.prune import LotteryConfig, find_ticket, pruned_count


def initial_weights():
    rng = np.random.default_rng(0)
    return {"a": rng.standard_normal((9, 5)).astype(np.float32), "b": np.ones((1, 7), np.float32)}


def run(config):
    calls = []

    def train(level, weights, mask):
        calls.append((level, weights, mask))
        rng = np.random.default_rng(level + 1)
        return {
            n: (w + rng.standard_normal(w.shape)).astype(np.float32) for n, w in weights.items()
        }

    return list(find_ticket(initial_weights(), train, config=config)), calls


@pytest.mark.parametrize("train_final", [True, False])
def test_each_training_starts_from_the_surviving_initial_weights(train_final):
    levels, calls = run(LotteryConfig(rate=0.3, iterations=3, train_final=train_final))
    assert [level for level, _, _ in calls] == list(range(4 if train_final else 3))
    assert [result.level for result in levels] == ([0, 1, 2, 3] if train_final else [1, 2, 3])
    for level, weights, mask in calls:
        assert sum(int((~m).sum()) for m in mask.values()) == pruned_count(52, 0.3, level)
        for name, initial in initial_weights().items():
            np.testing.assert_array_equal(weights[name], np.where(mask[name], initial, 0))
    for result in levels:
        assert result.sparsity == pruned_count(52, 0.3, result.level) / 52
        for name, weights in result.weights.items():
            gone = weights[~result.mask[name]]
            assert not gone.any()
            assert not np.signbit(gone).any()


def test_as_printed_the_last_pruning_follows_the_last_training():
    printed, _ = run(LotteryConfig(rate=0.3, iterations=2, train_final=False))
    final, _ = run(LotteryConfig(rate=0.3, iterations=2, train_final=True))
    for name, weights in printed[-1].weights.items():
        np.testing.assert_array_equal(printed[-1].mask[name], final[-1].mask[name])
        expected = np.where(printed[-1].mask[name], final[-2].weights[name], 0)
        np.testing.assert_array_equal(weights, expected)


def test_no_pruning_is_one_dense_training():
    levels, calls = run(LotteryConfig(iterations=0))
    assert len(calls) == 1
    assert levels[0].sparsity == 0


def test_a_real_generator_becomes_a_ticket():
    config = GanConfig(latent_dim=4, channels=(8, 6), critic_hidden=(8, 8), batch_size=8)
    generator, critic = build_networks(
        config, num_vectors=4, num_components=2, num_classes=3, seed=0
    )
    trainer = WganGpTrainer(generator, critic, config=config)
    first_critic = flatten(trainer.state_dict())["critic/fc1.weight"]
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-1, 1, (30, 4, 2)).astype(np.float32), np.arange(30) % 3

    def train(level, weights, mask):
        trainer.restart()
        assert np.array_equal(flatten(trainer.state_dict())["critic/fc1.weight"], first_critic)
        load_network_arrays(generator, weights)
        trainer.train(x, y, iterations=3, rng=torch.Generator().manual_seed(level), mask=mask)
        return network_arrays(generator)

    initial = network_arrays(generator)
    lottery = LotteryConfig(rate=0.4, iterations=3, min_kept_per_layer=5)
    for result in find_ticket(initial, train, config=lottery):
        for name, weights in result.weights.items():
            assert np.count_nonzero(weights) == result.mask[name].sum()
            assert not np.array_equal(weights, result.mask[name] * initial[name])
