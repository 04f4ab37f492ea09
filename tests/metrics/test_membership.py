"""Membership inference: a coin on fresh samples, nearly certain on memorised ones."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from flwr_gan.data import Samples
from flwr_gan.errors import DataError
from flwr_gan.metrics import attack_generator, membership_auc, membership_scores

D, K = 6, 3


def draw(count, seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(K, size=count)
    return rng.standard_normal((count, D)) + 3 * y[:, None], y


def samples(pair):
    return Samples((pair[0] / 20).reshape(-1, 2, 3).astype(np.float32), pair[1])


def attack(members, outsiders, generated, kind):
    rng = np.random.default_rng(0)
    return attack_generator(*map(samples, (members, outsiders, generated)), attack=kind, rng=rng)


@pytest.mark.parametrize("kind", ["nearest", "monte_carlo"])
def test_fresh_samples_look_like_members(kind):
    found = attack(draw(400, 1), draw(400, 2), draw(2000, 3), kind)
    assert found.low < 0.5 < found.high
    assert abs(found.auc - 0.5) < 0.06


@pytest.mark.parametrize("kind", ["nearest", "monte_carlo"])
def test_memorised_samples_are_found(kind):
    members = draw(300, 1)
    noise = 0.05 * np.random.default_rng(5).standard_normal((300, D))
    generated = np.concatenate([members[0] + noise, draw(300, 6)[0]])
    labels = np.concatenate([members[1], draw(300, 6)[1]])
    found = attack(members, draw(300, 2), (generated, labels), kind)
    assert found.auc > 0.9
    assert found.low > 0.85


def test_half_memorised_is_between():
    members = draw(300, 1)
    half = (np.concatenate([members[0][:150], draw(300, 6)[0]]),
            np.concatenate([members[1][:150], draw(300, 6)[1]]))  # fmt: skip
    assert 0.6 < attack(members, draw(300, 2), half, "nearest").auc < 0.9


def test_the_nearest_score_is_a_loop_over_pairs_of_a_class():
    (x, y), (g, gy) = draw(20, 1), draw(50, 2)
    scores = membership_scores(x, y, g, gy)
    for i in range(20):
        nearest = min(np.linalg.norm(x[i] - g[j]) for j in range(50) if gy[j] == y[i])
        assert scores[i] == pytest.approx(-nearest)


def test_the_area_is_that_of_scikit_learn_with_ties():
    rng = np.random.default_rng(1)
    members, outsiders = rng.integers(0, 6, 40) + 1.0, rng.integers(0, 6, 55) * 1.0
    found = membership_auc(members, outsiders, rng=rng)
    truth = np.repeat([1, 0], [40, 55])
    assert found.auc == pytest.approx(roc_auc_score(truth, np.concatenate([members, outsiders])))
    assert found.low < found.auc < found.high


def test_the_interval_covers_as_often_as_it_says():
    """Two equal distributions: the true area is 0.5."""
    covered = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        found = membership_auc(
            rng.standard_normal(50), rng.standard_normal(60), rng=rng, resamples=300
        )
        covered += found.low <= 0.5 <= found.high
    assert 0.88 <= covered / 120 <= 1


def test_mistakes_are_told():
    (x, y), (g, gy) = draw(20, 1), draw(50, 2)
    with pytest.raises(DataError, match="attack='guess'"):
        membership_scores(x, y, g, gy, attack="guess")
    with pytest.raises(DataError, match="no generated samples of class 2"):
        membership_scores(x, y, g[gy != 2], gy[gy != 2])
    with pytest.raises(DataError, match="0 members"):
        membership_auc(np.zeros(0), np.zeros(3), rng=np.random.default_rng(0))
