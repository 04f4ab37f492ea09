"""When a client uploads."""

import math

import numpy as np
import pytest

from flwr_gan.app.continual import UploadRule, sample_distance
from flwr_gan.errors import ConfigError


@pytest.mark.parametrize(
    ("distance", "rounds", "due"),
    [(0.09, 1, False), (0.1, 1, True), (0.5, 1, True), (0.0, 3, False), (0.0, 4, True),
     (math.nan, 1, True)],
)  # fmt: skip
def test_by_distance_or_after_some_rounds(distance, rounds, due):
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
def test_bad_settings_are_named(settings, match):
    with pytest.raises(ConfigError, match=match):
        UploadRule(**settings)
