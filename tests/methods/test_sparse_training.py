"""Sparse training: exact counts at every pruning, nested masks, a critic that stays pruned."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from flwr_gan.errors import ConfigError
from flwr_gan.gan import WganGpTrainer
from flwr_gan.gan.weights import network_arrays
from flwr_gan.methods import sparse_training
from flwr_gan.methods.sparse_training import SparseTraining
from flwr_gan.prune.masked_network import MaskedNetwork
from flwr_gan.prune.schedule import Pruning
from tests.methods.small_gans import assert_leaves_the_gan_and_repeats
from tests.methods.tiny_gans import FAMILIES, seeded, tiny_gan

MODULES = ("generator", "critic", "both")
SCHEDULES = ("one_shot", "iterative", "gradual")


def weight_counts(generator):
    """Return zeros and weights in all, biases left out."""
    weights = [array for array in network_arrays(generator).values() if array.ndim > 1]
    return sum(int((w == 0).sum()) for w in weights), sum(w.size for w in weights)


@pytest.fixture
def watched(monkeypatch):
    """Record masks and number of updates of each part of a training, and the critics' zeros."""
    parts = []

    class Watched(WganGpTrainer):
        def train(self, x_NTC, y_N, *, iterations, mask, **others):
            log = super().train(x_NTC, y_N, iterations=iterations, mask=mask, **others)
            layers = [m for m in self.critic.modules() if isinstance(m, (nn.Linear, nn.Conv2d))]
            weights = [layer.weight.detach() for layer in layers]
            parts.append((iterations, mask, [w.numpy().copy() for w in weights]))
            return log

    monkeypatch.setattr(sparse_training, "WganGpTrainer", Watched)
    return parts


@pytest.mark.long
@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("family", FAMILIES)
def test_count_is_exact_and_nothing_given_is_changed(family, schedule, module):
    gan = tiny_gan(family)
    method = SparseTraining(fraction=0.7, schedule=schedule, module=module, steps=2, every=1)
    compressed = assert_leaves_the_gan_and_repeats(method, gan, iterations=4)
    zeros, total = weight_counts(compressed)
    assert zeros == (0 if module == "critic" else round(0.7 * total))
    biases = {n: a for n, a in network_arrays(compressed).items() if a.ndim == 1}
    assert all((bias != 0).all() for bias in biases.values())


def test_cubic_schedule():
    method = SparseTraining(fraction=0.8, schedule="gradual", every=10, until=0.5)
    assert method.prunings(99) == [
        Pruning(10 * k, 0.8 * (1 - (1 - k / 4) ** 3)) for k in (1, 2, 3, 4)
    ]
    assert method.prunings(19) == [Pruning(0, 0.8)]


def test_iterative_schedule_prunes_equal_shares():
    method = SparseTraining(fraction=0.8, schedule="iterative", steps=4)
    prunings = method.prunings(10)
    assert [p.update for p in prunings] == [0, 2, 5, 8]
    np.testing.assert_allclose([p.fraction for p in prunings], [0.2, 0.4, 0.6, 0.8])


@pytest.mark.parametrize("criterion", ["magnitude", "random"])
@pytest.mark.parametrize("schedule", ["iterative", "gradual"])
def test_masks_are_nested_with_exact_counts(watched, schedule, criterion):
    gan = tiny_gan()
    method = SparseTraining(
        fraction=0.9, schedule=schedule, steps=3, every=2, until=0.7, criterion=criterion
    )
    method.compress(gan, iterations=9, rng=seeded())
    assert sum(iterations for iterations, _, _ in watched) == 9
    _, total = weight_counts(gan.generator)
    masks = [np.concatenate([m.ravel() for m in mask.values()]) for _, mask, _ in watched]
    expected = [round(total * pruning.fraction) for pruning in method.prunings(9)]
    found = [int((~mask).sum()) for mask in masks]
    assert found == ([0, *expected] if schedule == "gradual" else expected)
    assert all(not (later & ~earlier).any() for earlier, later in pairwise(masks))


def test_a_pruning_at_the_very_end_counts():
    method = SparseTraining(fraction=0.5, schedule="gradual", every=1, until=0.999)
    assert weight_counts(method.compress(tiny_gan(), iterations=1, rng=seeded()))[0] > 0
    compressed = SparseTraining(fraction=0.5).compress(tiny_gan(), iterations=0, rng=seeded())
    zeros, total = weight_counts(compressed)
    assert zeros == round(0.5 * total)


@pytest.mark.parametrize("module", ["critic", "both"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_critics_pruned_weights_stay_zero(watched, family, module):
    gan = tiny_gan(family)
    method = SparseTraining(fraction=0.6, schedule="iterative", steps=2, module=module)
    compressed = method.compress(gan, iterations=4, rng=seeded())
    pruned, size = weight_counts(compressed)
    assert pruned == (round(0.6 * size) if module == "both" else 0)
    total = sum(w.size for w in watched[0][2])
    zeros = [sum(int((w == 0).sum()) for w in weights) for _, _, weights in watched]
    assert zeros == [round(0.3 * total), round(0.6 * total)]
    first, last = (np.concatenate([w.ravel() for w in weights]) for _, _, weights in watched)
    assert not last[first == 0].any()
    assert not np.array_equal(first[last != 0], last[last != 0])  # survivors are trained


def test_masked_network_survives_an_optimiser_with_momentum():
    layer = nn.Sequential(nn.Linear(3, 2))
    masked = MaskedNetwork(layer)
    adam = torch.optim.Adam(layer.parameters(), lr=0.1)
    for step in range(4):
        if step == 2:
            masked.set_mask({"0.weight": np.array([[True, False, True], [False, True, True]])})
        adam.zero_grad()
        layer(torch.ones(1, 3)).square().sum().backward()
        adam.step()
    weight = masked.weights["0.weight"]
    np.testing.assert_array_equal(weight == 0, ~masked.mask["0.weight"])


def test_local_takes_the_same_share_of_each_layer_and_global_does_not():
    gan = tiny_gan()
    for scope in ("local", "global"):
        compressed = SparseTraining(fraction=0.5, scope=scope).compress(
            gan, iterations=0, rng=seeded()
        )
        arrays = network_arrays(compressed).values()
        exact = [int((a == 0).sum()) == round(0.5 * a.size) for a in arrays]
        assert all(exact) == (scope == "local")


def test_global_magnitude_drops_the_smallest():
    gan = tiny_gan()
    compressed = SparseTraining(fraction=0.5).compress(gan, iterations=0, rng=seeded())
    before = np.concatenate([a.ravel() for a in network_arrays(gan.generator).values()])
    after = np.concatenate([a.ravel() for a in network_arrays(compressed).values()])
    assert np.abs(before[after == 0]).max() <= np.abs(before[after != 0]).min()


def test_floor_keeps_weights_or_says_why_it_cannot():
    gan = tiny_gan()
    with torch.no_grad():
        first, *_ = gan.generator.parameters()
        first.mul_(1e-3)
    size = max(array.size for array in network_arrays(gan.generator).values())
    settings = {"fraction": 0.9, "min_kept_per_layer": 2}
    compressed = SparseTraining(**settings).compress(gan, iterations=0, rng=seeded())
    arrays = network_arrays(compressed).values()
    assert min(int((a != 0).sum()) for a in arrays if a.ndim > 1) == 2
    with pytest.raises(ConfigError, match=r"method.fraction=0.9 is not allowed: .* may be"):
        SparseTraining(fraction=0.9, min_kept_per_layer=size).compress(
            gan, iterations=0, rng=seeded()
        )
