"""Scores of samples: inception-type score, PSNR against a teacher, sharpness of images.

N samples, K classes, T vectors or rows, C components or columns.
"""

import math

import numpy as np
from numpy.typing import NDArray

from flwr_gan.errors import DataError

PEAK = 2.0
"""Peak to peak of outputs in [-1, 1]."""

_TOLERANCE = 1e-3


def inception_score(posterior_NK: NDArray[np.floating]) -> float:
    """Return ``exp(mean over samples of KL(p(y|x) || p(y)))``, p(y) the mean of the posteriors.

    From 1 (the posteriors are all alike) to K (sure of each sample, all classes equally often);
    Salimans et al., 2016. Paper 004 prints a cross entropy instead (Eq. 5), which has no upper
    bound and does not fit its own values, 1.86 to 7.02 for ten classes. Raises DataError without
    rows, and unless each row holds probabilities that sum to 1.
    """
    if not len(posterior_NK):
        raise DataError("inception score of no samples: at least 1 is needed")
    p_NK = posterior_NK.astype(np.float64)
    sums_N = p_NK.sum(axis=1)
    if not (
        np.isfinite(p_NK).all() and (p_NK >= 0).all() and np.allclose(sums_N, 1, 0, _TOLERANCE)
    ):
        raise DataError("inception score of posteriors that are no probabilities is undefined")
    marginal_K = p_NK.mean(axis=0)
    # 0 log 0 is 0; where the marginal is 0, all posteriors are.
    with np.errstate(divide="ignore", invalid="ignore"):
        terms_NK = np.where(p_NK > 0, p_NK * (np.log(p_NK) - np.log(marginal_K)), 0.0)
    return float(np.exp(terms_NK.sum(axis=1).mean()))


def psnr(x_NTC: NDArray[np.floating], teacher_NTC: NDArray[np.floating]) -> float:
    """Return ``10 log10(PEAK**2 / mean squared difference)`` over all samples together.

    In dB; infinite for equal samples. Raises DataError if shapes differ, there is no sample, or a
    value is not finite.
    """
    if x_NTC.shape != teacher_NTC.shape or not x_NTC.size:
        raise DataError(
            f"PSNR of shapes {x_NTC.shape} and {teacher_NTC.shape}: "
            "give outputs for the same latents"
        )
    error = float(np.square(x_NTC.astype(np.float64) - teacher_NTC).mean())
    if not math.isfinite(error):
        raise DataError("PSNR of samples that are not finite is undefined")
    return 10 * math.log10(PEAK**2 / error) if error else math.inf


def drawing_agreement(
    x_NTC: NDArray[np.floating], truth_NTC: NDArray[np.floating]
) -> tuple[float, float]:
    """Return mean pixel accuracy and intersection over union of drawings and their ground truth.

    A pixel above 0 is ink, else paper. For each of the two classes, pixel accuracy is the share of
    the truth's pixels that the drawing has right, and intersection over union is the number of
    pixels that both have divided by the number that either has; both are means over ink and paper
    (Long et al., 2015, section 5), over all images, from 0 to 1. NaN if the truth has only one of
    the two. Raises DataError if shapes differ or there is no sample.
    """
    if x_NTC.shape != truth_NTC.shape or not x_NTC.size:
        raise DataError(
            f"agreement of shapes {x_NTC.shape} and {truth_NTC.shape}: give a drawing for each "
            "ground truth"
        )
    ink, true_ink = x_NTC > 0, truth_NTC > 0
    kinds = [(ink, true_ink), (~ink, ~true_ink)]
    if not all(true.any() for _, true in kinds):
        return math.nan, math.nan
    both = [np.count_nonzero(made & true) for made, true in kinds]
    right = [n / np.count_nonzero(true) for n, (_, true) in zip(both, kinds, strict=True)]
    shared = [
        n / np.count_nonzero(made | true) for n, (made, true) in zip(both, kinds, strict=True)
    ]
    return float(np.mean(right)), float(np.mean(shared))


def laplacian_variance(x_NTC: NDArray[np.floating]) -> float:
    """Return the variance of the Laplacian over an image's pixels, averaged over the images.

    It measures sharpness (paper 004, section 4.3, on blur). The Laplacian has the 3 x 3 stencil
    ``[0 1 0; 1 -4 1; 0 1 0]`` with borders mirrored at the outermost pixels, as in OpenCV. The unit
    is that of x squared, with x in [-1, 1]; multiply by 127.5 ** 2 for grey levels from 0 to 255.
    Raises DataError without an image or for one below 2 x 2 pixels.
    """
    if x_NTC.ndim != 3 or not len(x_NTC) or min(x_NTC.shape[1:]) < 2:
        raise DataError(
            f"images of shape {x_NTC.shape} have no Laplacian: give (N, T, C), T, C > 1"
        )
    x = np.pad(x_NTC.astype(np.float64), ((0, 0), (1, 1), (1, 1)), mode="reflect")
    inner = x[:, 1:-1, 1:-1]
    laplacian_NTC = x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:] - 4 * inner
    return float(laplacian_NTC.var(axis=(1, 2)).mean())
