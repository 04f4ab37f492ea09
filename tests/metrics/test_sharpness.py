"""Variance of the Laplacian against closed forms."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, laplace

from flwr_gan.errors import DataError
from flwr_gan.metrics import laplacian_variance


def test_it_is_the_variance_of_the_laplacian_with_mirrored_borders():
    images = np.random.default_rng(0).uniform(-1, 1, (3, 7, 9))
    expected = np.mean([laplace(image, mode="mirror").var() for image in images])
    assert laplacian_variance(images) == pytest.approx(expected)


def test_checkerboard_by_hand_and_flat_image():
    board = np.where(np.add.outer(np.arange(6), np.arange(6)) % 2, 1.0, -1.0)
    assert laplacian_variance(board[None]) == pytest.approx(64)  # +-8 at each pixel
    assert laplacian_variance(np.full((2, 4, 4), 0.3)) == pytest.approx(0, abs=1e-20)


def test_blur_lowers_it():
    image = np.random.default_rng(0).uniform(-1, 1, (1, 16, 16))
    assert laplacian_variance(gaussian_filter(image, (0, 1, 1))) < 0.1 * laplacian_variance(image)


@pytest.mark.parametrize("shape", [(0, 8, 8), (2, 1, 8), (8, 8)])
def test_what_is_no_image_is_refused(shape):
    with pytest.raises(DataError, match="no Laplacian"):
        laplacian_variance(np.zeros(shape))
