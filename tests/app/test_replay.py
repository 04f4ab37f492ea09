"""Replayed samples: exact shares and proportions."""

import numpy as np
import pytest

from flwr_gan.app.continual import replay_labels, with_replay
from flwr_gan.data import Samples


@pytest.mark.parametrize(
    ("share", "num_real", "number"), [(0, 90, 0), (0.5, 90, 90), (0.25, 90, 30), (0.9, 10, 90)]
)
def test_the_share_is_of_all_training_samples(share, num_real, number):
    labels = replay_labels(np.array([10, 0, 30, 20]), num_real=num_real, share=share)
    assert len(labels) == number
    if number:
        assert number / (number + num_real) == pytest.approx(share)


def test_labels_have_the_proportions_of_what_was_held():
    labels = replay_labels(np.array([10, 0, 30, 20]), num_real=60, share=0.5)
    assert np.bincount(labels, minlength=4).tolist() == [10, 0, 30, 20]
    rounded = replay_labels(np.array([1, 1, 1, 0]), num_real=8, share=0.5)
    assert np.bincount(rounded, minlength=4).tolist() == [3, 3, 2, 0]


def test_nothing_is_replayed_of_nothing():
    assert len(replay_labels(np.zeros(4, np.int64), num_real=50, share=0.5)) == 0
    assert len(replay_labels(np.array([3, 0]), num_real=0, share=0.5)) == 0


def test_real_samples_come_first_and_stay_as_they_are():
    x = np.full((3, 2, 2), 0.5, np.float32)
    real = Samples(x, np.array([1, 1, 0]), np.array([7, 7, 8]))
    both = with_replay(real, -x[:2], np.array([0, 1]))
    assert both.y_N.tolist() == [1, 1, 0, 0, 1]
    assert np.array_equal(both.x_NTC[:3], x)
    assert np.array_equal(both.x_NTC[3:], -x[:2])
