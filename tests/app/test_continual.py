"""What a client replays of the past, in exact shares and proportions, and when it uploads."""

import math

import numpy as np
import pytest

from flwr_gan.app.continual import UploadRule, replay_labels, sample_distance, with_replay
from flwr_gan.data import Samples
from flwr_gan.errors import ConfigError


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


@pytest.mark.parametrize(
    ("distance", "rounds", "due"),
    [(0.09, 1, False), (0.1, 1, True), (0.5, 1, True), (0.0, 3, False), (0.0, 4, True),
     (math.nan, 1, True)],
)  # fmt: skip
def test_an_upload_is_due_by_distance_or_after_some_rounds(distance, rounds, due):
    assert UploadRule(threshold=0.1, every=4).is_due(distance, rounds=rounds) is due


def test_a_threshold_of_zero_uploads_always():
    assert UploadRule(threshold=0, every=100).is_due(0.0, rounds=1)


def test_the_distance_is_the_root_mean_square():
    a = np.zeros((2, 1, 2), np.float32)
    b = np.array([[[0.1, 0.3]], [[0.5, 0.1]]], np.float32)
    assert sample_distance(a, b) == pytest.approx(math.sqrt((0.01 + 0.09 + 0.25 + 0.01) / 4))
    assert sample_distance(b, b) == 0


@pytest.mark.parametrize(
    ("settings", "match"),
    [({"threshold": -1, "every": 1}, "threshold=-1"), ({"threshold": 0.1, "every": 0}, "every=0")],
)
def test_bad_settings_of_uploads_are_named(settings, match):
    with pytest.raises(ConfigError, match=match):
        UploadRule(**settings)
