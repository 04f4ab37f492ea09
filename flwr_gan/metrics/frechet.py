"""Frechet distance between two sets of features (Dowson and Landau, 1982).

N, M samples, D features. The features decide what the number means: only with those of the
Inception network is it what the literature calls FID.
"""

import numpy as np
from numpy.typing import NDArray

from flwr_gan.errors import DataError


def frechet_distance(a_ND: NDArray[np.floating], b_MD: NDArray[np.floating]) -> float:
    """Return |mean_a - mean_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)) of two sets.

    The trace of the root is taken as the sum of the singular values of S_a^(1/2) S_b^(1/2), with
    both roots from symmetric eigen-decompositions: real by construction, exact for singular
    covariances too. All in float64. One row of features a sample. At least 0, in squared units of
    the features. Raises DataError for a set of fewer than 2 rows or a value that is not finite.
    """
    for features in (a_ND, b_MD):
        if len(features) < 2:
            raise DataError(f"Frechet distance of {len(features)} samples: at least 2 are needed")
        if not np.isfinite(features).all():
            raise DataError("Frechet distance of features that are not finite is undefined")
    a, b = a_ND.astype(np.float64), b_MD.astype(np.float64)
    shift = np.square(a.mean(axis=0) - b.mean(axis=0)).sum()
    cov_a, cov_b = np.atleast_2d(np.cov(a.T)), np.atleast_2d(np.cov(b.T))
    root = np.linalg.svd(_square_root(cov_a) @ _square_root(cov_b), compute_uv=False).sum()
    return max(0.0, float(shift + np.trace(cov_a) + np.trace(cov_b) - 2 * root))


def _square_root(cov_DD: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(cov_DD)
    root: NDArray[np.float64] = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    return root
