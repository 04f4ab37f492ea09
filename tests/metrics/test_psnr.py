"""PSNR by hand."""

import math

import numpy as np
import pytest

from flwr_gan.errors import DataError
from flwr_gan.metrics import psnr


def test_values_by_hand():
    x = np.zeros((4, 3, 2), np.float32)
    assert psnr(x, x) == math.inf
    assert psnr(x, x + 2) == pytest.approx(0)
    assert psnr(x, x + 0.2) == pytest.approx(20, abs=1e-5)


def test_all_samples_count_together():
    x = np.zeros((2, 1, 1))
    y = np.array([[[0.0]], [[2.0]]])
    assert psnr(x, y) == pytest.approx(10 * math.log10(4 / 2))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((3, 2, 2)), "same latents"),
        (np.full((2, 2, 2), np.nan), "not finite"),
    ],
)
def test_other_samples_are_refused(x, message):
    with pytest.raises(DataError, match=message):
        psnr(x, np.zeros((2, 2, 2)))
