"""Inception-type score, PSNR and variance of the Laplacian against computations by hand."""

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, laplace
from sklearn.metrics import balanced_accuracy_score, jaccard_score

from flwr_gan.errors import DataError
from flwr_gan.metrics import drawing_agreement, inception_score, laplacian_variance, psnr


def test_sure_and_diverse_posteriors_reach_the_number_of_classes():
    assert inception_score(np.eye(10)[np.arange(200) % 10]) == pytest.approx(10)


def test_posteriors_that_are_all_alike_score_one_however_sure():
    assert inception_score(np.full((50, 10), 0.1)) == pytest.approx(1)
    assert inception_score(np.eye(10)[np.zeros(50, int)]) == pytest.approx(1)


def test_score_is_the_mean_divergence_from_the_mixture():
    p = np.array([[0.9, 0.1], [0.2, 0.8]])
    mixture = np.array([0.55, 0.45])
    divergence = (p * np.log(p / mixture)).sum(axis=1)
    assert inception_score(p) == pytest.approx(np.exp(divergence.mean()))


@pytest.mark.parametrize(
    ("posterior", "message"),
    [
        (np.empty((0, 3)), "at least 1"),
        (np.full((2, 3), 0.5), "no probabilities"),
        (np.array([[1.5, -0.5]]), "no probabilities"),
        (np.array([[np.nan, 1.0]]), "no probabilities"),
    ],
)
def test_what_is_no_posterior_is_refused(posterior, message):
    with pytest.raises(DataError, match=message):
        inception_score(posterior)


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


def test_pixel_accuracy_and_iou_are_those_of_scikit_learn():
    rng = np.random.default_rng(4)
    truth = rng.uniform(-1, 1, (6, 9, 8))
    made = truth + rng.normal(0, 0.5, truth.shape)
    labels = (truth > 0).ravel(), (made > 0).ravel()
    expected = balanced_accuracy_score(*labels), jaccard_score(*labels, average="macro")
    assert drawing_agreement(made, truth) == pytest.approx(expected)
    assert drawing_agreement(truth, truth) == (1, 1)
    assert drawing_agreement(np.ones((1, 2, 2)), truth[:1, :2, :2] * 0 + [[1, -1]]) == (0.5, 0.25)
    assert all(map(math.isnan, drawing_agreement(made, np.ones_like(made))))
    with pytest.raises(DataError, match="a drawing for each"):
        drawing_agreement(made, truth[:3])


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
