"""Frechet distance against closed forms."""

import numpy as np
import pytest

from flwr_gan.errors import DataError
from flwr_gan.metrics import frechet_distance, precision_recall_density_coverage


def gaussian(mean, covariance, count=200):
    """Points whose sample mean and covariance are exactly as asked."""
    points = np.random.default_rng(0).standard_normal((count, len(mean)))
    points -= points.mean(axis=0)
    points @= np.linalg.inv(np.linalg.cholesky(np.cov(points.T))).T
    return points @ np.linalg.cholesky(covariance).T + mean


@pytest.mark.parametrize("rank", [3, 8, 64])
def test_a_set_is_at_no_distance_from_itself(rank):
    rng = np.random.default_rng(0)
    features = rng.standard_normal((300, rank)) @ rng.standard_normal((rank, 64)) + 3
    distance = frechet_distance(features, features[::-1])
    assert 0 <= distance < 1e-9 * np.trace(np.cov(features.T))


def test_distance_of_gaussians_matches_the_closed_form():
    a = gaussian([0, 0, 0], np.diag([1.0, 4.0, 9.0]))
    b = gaussian([1, -2, 0], np.diag([4.0, 4.0, 1.0]))
    # diagonal covariances: sum of squared differences of means and of standard deviations
    assert frechet_distance(a, b) == pytest.approx(1 + 4 + (1 - 2) ** 2 + 0 + (3 - 1) ** 2)


def test_distance_of_full_covariances_matches_the_matrix_root():
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(1)
    first, second = (m @ m.T + np.eye(4) for m in rng.standard_normal((2, 4, 4)))
    distance = frechet_distance(gaussian(np.zeros(4), first), gaussian(np.ones(4), second))
    expected = 4 + np.trace(first + second - 2 * sqrtm(first @ second).real)
    assert distance == pytest.approx(expected)
    assert distance == pytest.approx(
        frechet_distance(gaussian(np.ones(4), second), gaussian(np.zeros(4), first))
    )


def test_constant_and_one_dimensional_features_are_fine():
    assert frechet_distance(np.zeros((5, 2)), np.ones((2, 2))) == 2
    assert frechet_distance(np.zeros((5, 1)), np.ones((2, 1))) == 1


@pytest.mark.parametrize(
    ("features", "reason"),
    [(np.zeros((1, 3)), "at least 2"), (np.full((4, 3), np.nan), "not finite")],
)
def test_features_without_a_covariance_are_refused(features, reason):
    with pytest.raises(DataError, match=reason):
        frechet_distance(np.zeros((5, 3)), features)


def test_a_set_covers_itself():
    points = np.random.default_rng(0).standard_normal((100, 5))
    scores = precision_recall_density_coverage(points, points)
    assert scores["precision"] == scores["recall"] == scores["coverage"] == 1
    assert scores["density"] == pytest.approx(6 / 5)  # k neighbours see a point, and it itself


def test_sets_far_apart_share_nothing():
    points = np.random.default_rng(0).standard_normal((50, 5))
    scores = precision_recall_density_coverage(points, points + 100)
    assert set(scores.values()) == {0.0}


def test_scores_of_points_on_a_line_are_those_of_the_definitions():
    real, fake = np.array([[0.0], [1.0], [3.0]]), np.array([[0.5], [10.0], [11.0], [12.0]])
    # k = 1: real radii 1, 1, 2; generated radii 9.5, 1, 1, 1
    scores = precision_recall_density_coverage(real, fake, neighbours=1)
    assert scores["precision"] == 1 / 4
    assert scores["recall"] == 3 / 3
    assert scores["density"] == 2 / 4
    assert scores["coverage"] == 2 / 3


def test_collapsed_samples_are_precise_but_do_not_cover():
    real = np.random.default_rng(0).standard_normal((200, 5))
    fake = np.repeat(real[:1], 50, axis=0)
    scores = precision_recall_density_coverage(real, fake)
    assert scores["precision"] == 1
    assert scores["recall"] < 0.05
    assert scores["coverage"] < 0.1


def test_few_samples_lower_k_and_one_is_too_few():
    points = np.random.default_rng(0).standard_normal((3, 2))
    assert precision_recall_density_coverage(points, points, neighbours=5)["recall"] == 1
    with pytest.raises(DataError, match="at least 2"):
        precision_recall_density_coverage(points, points[:1])


def test_what_is_not_finite_and_no_neighbours_are_refused():
    points = np.random.default_rng(0).standard_normal((8, 2))
    for wrong in (np.nan, np.inf):
        broken = np.vstack([points[1:], [[wrong, 0.0]]])
        for pair in ((points, broken), (broken, points)):
            with pytest.raises(DataError, match="not finite"):
                precision_recall_density_coverage(*pair)
    for k in (0, -1):
        with pytest.raises(DataError, match=f"neighbours={k} is not allowed"):
            precision_recall_density_coverage(points, points, neighbours=k)
