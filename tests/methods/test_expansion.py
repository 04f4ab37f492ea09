"""Train, expand, prune: sizes and shares of the training, phase by phase."""

from itertools import pairwise

import numpy as np
import pytest

from flwr_gan.methods.base import Budget
from flwr_gan.methods.chain import channel_counts
from flwr_gan.methods.expansion import TrainExpandPrune
from tests.methods.small_gans import assert_leaves_the_gan_and_repeats
from tests.methods.tiny_gans import FAMILIES, outputs, same_arrays, seeded, tiny_gan


@pytest.fixture
def phases(monkeypatch):
    """Record channels, updates and critic of each phase, and samples before and after."""
    seen, train = [], Budget.train

    def watched(budget, gan, generator, *, iterations, **others):
        before = outputs(generator)
        critic = train(budget, gan, generator, iterations=iterations, **others)
        seen.append((channel_counts(generator), iterations, critic, before, outputs(generator)))
        return critic

    monkeypatch.setattr(Budget, "train", watched)
    return seen


@pytest.mark.parametrize("family", FAMILIES)
def test_compressed_generator_has_the_students_form(family):
    gan = tiny_gan(family)
    compressed = assert_leaves_the_gan_and_repeats(TrainExpandPrune(samples=8), gan, iterations=3)
    assert channel_counts(compressed) == ((4, 3) if family == "vectors" else (3, 3, 2, 1))


def test_phases_grow_share_the_training_and_keep_the_function(phases):
    gan = tiny_gan()
    method = TrainExpandPrune(expansions=2, seed_share=0.5, wide_share=0.3, seed_fraction=0.5)
    method.compress(gan, iterations=10, rng=seeded())
    assert [phase[0] for phase in phases] == [(4, 3), (6, 5), (8, 6), (4, 3)]
    assert [phase[1] for phase in phases] == [5, 2, 1, 2]
    assert len({id(phase[2]) for phase in phases}) == 1  # one critic goes through all phases
    for earlier, later in pairwise(phases[:3]):
        np.testing.assert_allclose(later[3], earlier[4], atol=1e-6)
        assert not np.array_equal(earlier[3], earlier[4])


def test_nothing_of_the_teachers_weights_is_used():
    one, other = tiny_gan(seed=1), tiny_gan(seed=1)
    for weight in other.generator.parameters():
        weight.data.mul_(2)
    method = TrainExpandPrune()
    results = [method.compress(gan, iterations=2, rng=seeded()) for gan in (one, other)]
    assert same_arrays(*results)
