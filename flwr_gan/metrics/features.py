"""Comparison of two feature sets: Frechet distance, precision, recall, density, coverage.

N, M, R, G samples, D features. The meaning of a distance depends on the features: only with those
of the Inception network is it the FID of the literature.
"""

import numpy as np
from numpy.typing import NDArray

from flwr_gan.errors import DataError


def frechet_distance(a_ND: NDArray[np.floating], b_MD: NDArray[np.floating]) -> float:
    """Return |mean_a - mean_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)) of two sets.

    The trace of the root is taken as the sum of the singular values of S_a^(1/2) S_b^(1/2), with
    both roots from symmetric eigen-decompositions: real by construction, exact for singular
    covariances too (Dowson and Landau, 1982). All in float64. One row of features per sample. At
    least 0, in squared units of the features. Raises DataError for a set of fewer than 2 rows or a
    value that is not finite.
    """
    _check("Frechet distance", a_ND, b_MD)
    a, b = a_ND.astype(np.float64), b_MD.astype(np.float64)
    shift = np.square(a.mean(axis=0) - b.mean(axis=0)).sum()
    cov_a, cov_b = np.atleast_2d(np.cov(a.T)), np.atleast_2d(np.cov(b.T))
    root = np.linalg.svd(_square_root(cov_a) @ _square_root(cov_b), compute_uv=False).sum()
    return max(0.0, float(shift + np.trace(cov_a) + np.trace(cov_b) - 2 * root))


def _check(what: str, *sets: NDArray[np.floating]) -> int:
    """Return the number of rows of the smallest set."""
    smallest = min(map(len, sets))
    if smallest < 2:
        raise DataError(f"{what} of {smallest} samples: at least 2 are needed")
    if not all(np.isfinite(features).all() for features in sets):
        raise DataError(f"{what} of features that are not finite cannot be computed")
    return smallest


def _square_root(cov_DD: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(cov_DD)
    root: NDArray[np.float64] = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    return root


def precision_recall_density_coverage(
    real_RD: NDArray[np.floating], fake_GD: NDArray[np.floating], *, neighbours: int = 5
) -> dict[str, float]:
    """Compare two feature sets by balls with a radius up to the k-th neighbour in the set.

    Precision: share of generated samples inside the ball of some real one. Recall: share of real
    samples inside the ball of some generated one (Kynkäänniemi et al., 2019). Density: number of
    real balls around a generated sample, over k. Coverage: share of real balls that hold a
    generated sample (Naeem et al., 2020). Balls are closed. One row of features per sample. k is
    reduced if a set has at most k samples. Raises DataError for fewer than 2 rows, for values that
    are not finite and for k below 1.
    """
    if neighbours < 1:
        raise DataError(f"neighbours={neighbours} is not allowed: give a whole number from 1")
    k = min(neighbours, _check("precision and recall", real_RD, fake_GD) - 1)
    distance_RG = distances(real_RD, fake_GD)
    real_radius_R, fake_radius_G = _radii(real_RD, k), _radii(fake_GD, k)
    in_real_ball_RG = distance_RG <= real_radius_R[:, None]
    in_fake_ball_RG = distance_RG <= fake_radius_G[None, :]
    return {
        "precision": float(in_real_ball_RG.any(axis=0).mean()),
        "recall": float(in_fake_ball_RG.any(axis=1).mean()),
        "density": float(in_real_ball_RG.sum(axis=0).mean() / k),
        "coverage": float(in_real_ball_RG.any(axis=1).mean()),
    }


def distances(a_AD: NDArray[np.floating], b_BD: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return ``distance_AB``, the Euclidean distance of each row to each row of the other array."""
    from scipy.spatial.distance import cdist  # not needed by clients that only train

    found: NDArray[np.float64] = cdist(a_AD, b_BD)
    return found


def _radii(points_ND: NDArray[np.floating], k: int) -> NDArray[np.float64]:
    """Distance of each point to its k-th neighbour; neighbour 0 is the point itself."""
    radii: NDArray[np.float64] = np.partition(distances(points_ND, points_ND), k, axis=1)[:, k]
    return radii
