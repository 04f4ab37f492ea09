"""Fidelity and diversity from nearest neighbours.

R real samples, G generated samples, D features.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from flwr_gan.errors import DataError


def precision_recall_density_coverage(
    real_RD: NDArray[np.floating], fake_GD: NDArray[np.floating], *, neighbours: int = 5
) -> dict[str, float]:
    """Compare two sets of features through balls that reach to the k-th neighbour in the set.

    Precision: share of generated samples inside the ball of some real one. Recall: share of real
    samples inside the ball of some generated one (Kynkäänniemi et al., 2019). Density: number of
    real balls around a generated sample, over k. Coverage: share of real balls that hold a
    generated sample (Naeem et al., 2020). Balls are closed. One row of features a sample. k is less
    where a set has no more than k samples. Raises DataError for fewer than 2 rows, for values that
    are not finite and for k below 1.
    """
    smaller = min(len(real_RD), len(fake_GD))
    if smaller < 2:
        raise DataError(f"precision and recall of {smaller} samples: at least 2 are needed")
    if neighbours < 1:
        raise DataError(f"neighbours={neighbours} is not allowed: give a whole number from 1")
    if not (np.isfinite(real_RD).all() and np.isfinite(fake_GD).all()):
        raise DataError("precision and recall of features that are not finite are undefined")
    k = min(neighbours, smaller - 1)
    distance_RG = cdist(real_RD, fake_GD)
    real_radius_R, fake_radius_G = _radii(real_RD, k), _radii(fake_GD, k)
    in_real_ball_RG = distance_RG <= real_radius_R[:, None]
    in_fake_ball_RG = distance_RG <= fake_radius_G[None, :]
    return {
        "precision": float(in_real_ball_RG.any(axis=0).mean()),
        "recall": float(in_fake_ball_RG.any(axis=1).mean()),
        "density": float(in_real_ball_RG.sum(axis=0).mean() / k),
        "coverage": float(in_real_ball_RG.any(axis=1).mean()),
    }


def _radii(points_ND: NDArray[np.floating], k: int) -> NDArray[np.float64]:
    """Distance of each point to its k-th neighbour; place 0 is the point itself."""
    radii: NDArray[np.float64] = np.partition(cdist(points_ND, points_ND), k, axis=1)[:, k]
    return radii
