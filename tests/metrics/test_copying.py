"""Copies, fresh samples and half copies are told apart, with the literature's statistic."""

import numpy as np
import pytest

from flwr_gan.data import Samples
from flwr_gan.errors import DataError
from flwr_gan.metrics.copying import Nearness, nearest

K = 3


def draw(count: int, seed: int) -> Samples:
    rng = np.random.default_rng(seed)
    y = np.arange(count) % K
    x = rng.standard_normal((count, 2, 3)) + 3 * y[:, None, None]
    return Samples((x / 20).clip(-1, 1).astype(np.float32), y)


TRAIN, TEST = draw(300, 1), draw(150, 2)


def test_distances_are_those_of_a_loop():
    a, b = (s.x_NTC.reshape(len(s), -1) for s in (draw(70, 3), draw(41, 4)))
    a[7] = b[40]
    naive = [min(float(np.linalg.norm(x.astype(float) - y)) for y in b) for x in a]
    np.testing.assert_allclose(nearest(a, b), naive, rtol=1e-12)
    assert nearest(a, b)[7] == 0
    many = np.concatenate([a] * 5)  # more than one block of rows
    np.testing.assert_array_equal(nearest(many, b), np.tile(nearest(a, b), 5))


def test_the_scores_follow_their_definitions():
    generated = draw(31, 5)
    z, nearer, expected, real_all, made_all = 0.0, [], [], [], []
    for k in range(K):
        g, r, t = (
            [x.ravel().astype(float) for x, y in zip(s.x_NTC, s.y_N, strict=True) if y == k]
            for s in (generated, TEST, TRAIN)
        )
        made, real = ([min(np.linalg.norm(x - y) for y in t) for x in set_] for set_ in (g, r))
        m, n = len(made), len(real)
        u = sum(a > b for a in made for b in real)
        z += n * (u - m * n / 2) / np.sqrt(m * n * (m + n + 1) / 12)  # Meehan et al., section 3
        nearer += [a < min(np.linalg.norm(x - y) for y in r) for a, x in zip(made, g, strict=True)]
        expected += [len(t) / (len(t) + n)] * m
        real_all, made_all = real_all + real, made_all + made
    assert Nearness.of(generated, TEST, TRAIN).scores == pytest.approx(
        {
            "nearest_ratio": np.median(made_all) / np.median(real_all),
            "copying_z": z / len(TEST),
            "training_share": np.mean(nearer),
            "training_share_expected": np.mean(expected),
        }
    )


def test_fresh_samples_are_as_near_as_test_samples():
    scores = Nearness.of(draw(600, 6), TEST, TRAIN).scores
    assert scores["nearest_ratio"] == pytest.approx(1, abs=0.1)
    assert abs(scores["copying_z"]) < 3
    assert scores["training_share_expected"] == pytest.approx(2 / 3)
    assert scores["training_share"] == pytest.approx(2 / 3, abs=0.06)


def test_copies_are_found_and_so_are_typical_samples_that_are_none():
    copies = Nearness.of(TRAIN, TEST, TRAIN).scores
    assert copies["nearest_ratio"] == 0
    assert copies["copying_z"] < -8
    assert copies["training_share"] == 1
    fresh = draw(600, 6)
    means = np.stack([TRAIN.x_NTC[TRAIN.y_N == k].mean(axis=0) for k in range(K)])[fresh.y_N]
    typical = Samples((means + 0.4 * (fresh.x_NTC - means)).astype(np.float32), fresh.y_N)
    scores = Nearness.of(typical, TEST, TRAIN).scores
    assert scores["copying_z"] < -3  # near to training samples, and as near to test samples
    assert scores["training_share"] == pytest.approx(2 / 3, abs=0.08)


def test_classes_that_cannot_be_compared_are_left_out():
    only = TEST.take(np.flatnonzero(TEST.y_N == 1))
    found = Nearness.of(draw(60, 7), only, TRAIN)
    assert set(found.generated_y_G) == set(found.real_y_R) == {1}
    with pytest.raises(DataError, match="no class has generated, test and training samples"):
        Nearness.of(TEST.take(np.flatnonzero(TEST.y_N == 0)), only, TRAIN)
