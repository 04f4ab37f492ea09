"""Augmented regeneration: when networks are dense again and when they are pruned on."""

import pytest
import torch
from torch import nn

from flwr_gan.errors import ConfigError
from flwr_gan.prune.regeneration import WEIGHTS, AugmentedRegeneration
from flwr_gan.prune.threshold_masks import ThresholdedNetwork


def pruned_network():
    network = nn.Sequential(nn.Linear(4, 3))
    masks = ThresholdedNetwork(network, strength=0.0)
    with torch.no_grad():
        network[0].parametrizations.weight[0].raw_threshold.fill_(0.2)
        network[0].parametrizations.weight.original.copy_(torch.linspace(-1, 1, 12).view(3, 4))
    return masks


def test_nothing_happens_before_there_are_five_scores():
    rule = AugmentedRegeneration([pruned_network()])
    assert [rule.check(score) for score in (1.0, 50.0, 2.0, 90.0, 1.0)] == [False] * 5


def test_the_limit_is_the_weighted_mean_of_the_previous_five():
    rule = AugmentedRegeneration([])
    for score in (100.0, 10.0, 20.0, 30.0, 40.0, 50.0):
        rule.check(score)
    wanted = sum(w * s for w, s in zip(WEIGHTS, (10, 20, 30, 40, 50), strict=True))
    assert rule.limit == pytest.approx(wanted)
    assert sum(WEIGHTS) == pytest.approx(1)
    assert not AugmentedRegeneration.check(rule, rule.limit)  # no worse than it


def test_worse_is_dense_with_the_old_weights_and_better_prunes_on_from_zero():
    masks = pruned_network()
    before, kept = masks.arrays(dense=True), masks.mask["0.weight"]
    rule = AugmentedRegeneration([masks])
    for score in (10.0, 9.0, 8.0, 7.0, 6.0):
        rule.check(score)
    assert not kept.all()
    assert rule.check(20.0)
    assert masks.dense
    assert (masks.arrays()["0.weight"] == before["0.weight"]).all()
    assert rule.check(30.0)  # still worse, still dense
    assert masks.dense
    assert not rule.check(1.0)
    assert not masks.dense
    assert masks.mask["0.weight"].all()  # thresholds are 0


def test_a_score_that_is_not_finite_is_worse_and_forgotten():
    rule = AugmentedRegeneration([], weights=[1.0, 1.0])
    assert rule.check(float("nan"))
    rule.check(2.0)
    rule.check(4.0)
    assert rule.limit == 3
    assert rule.check(float("inf"))
    assert rule.limit == 3


@pytest.mark.parametrize("weights", [(), (1.0, 0.0), (float("nan"),)])
def test_bad_weights_are_named(weights):
    with pytest.raises(ConfigError, match="is not allowed: give numbers above 0"):
        AugmentedRegeneration([], weights=weights)
