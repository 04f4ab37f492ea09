"""Precision, recall, density and coverage by hand."""

import numpy as np
import pytest

from flwr_gan.errors import DataError
from flwr_gan.metrics import precision_recall_density_coverage


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
