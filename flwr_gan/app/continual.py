"""Continual learning on a client: what it replays of the past, and whether it uploads.

N samples, K classes, T vectors, C components.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flwr_gan.core.settings import Amount, Count, Settings
from flwr_gan.data import Samples


def replay_labels(counts_K: NDArray[np.int64], *, num_real: int, share: float) -> NDArray[np.int64]:
    """Return the labels to replay (Shin et al., 2017), a given share of all training samples.

    Parameters
    ----------
    counts_K : ndarray of int64
        What the client has held of each class so far; the labels have these proportions.
    num_real : int
        Number of real samples beside them.
    share : float
        Of replayed samples among all, 0 to below 1, rounded to whole samples.

    Returns
    -------
    ndarray of int64
        Labels, ascending; none where nothing was held.
    """
    total = int(counts_K.sum())
    number = round(num_real * share / (1 - share)) if total else 0
    exact_K = counts_K * (number / max(total, 1))
    each_K = np.floor(exact_K).astype(np.int64)
    largest = np.argsort(-(exact_K - each_K), kind="stable")[: number - int(each_K.sum())]
    each_K[largest] += 1
    return np.repeat(np.arange(len(counts_K)), each_K)


def with_replay(real: Samples, x_NTC: NDArray[np.float32], y_N: NDArray[np.int64]) -> Samples:
    """Return real samples and replayed ones together, without writers."""
    return Samples(np.concatenate([real.x_NTC, x_NTC]), np.concatenate([real.y_N, y_N]))


@dataclass(frozen=True, kw_only=True)
class UploadRule(Settings):
    """Upload when the samples have moved, or after some rounds in any case.

    Parameters
    ----------
    threshold : float
        Least distance of samples that counts as a change; 0 uploads in every round.
    every : int
        Rounds after the last upload in which one is due whatever the distance; 1 or more.
    """

    group = "strategy"

    threshold: Amount
    every: Count

    def is_due(self, distance: float, *, rounds: int) -> bool:
        """Return whether to upload.

        Parameters
        ----------
        distance : float
            Of the samples now to those of what the server knows; NaN counts as changed.
        rounds : int
            Rounds since the last upload.
        """
        return not distance < self.threshold or rounds >= self.every


def sample_distance(a_NTC: NDArray[np.float32], b_NTC: NDArray[np.float32]) -> float:
    """Return the root mean square difference of samples for the same latents and labels."""
    difference = a_NTC.astype(np.float64) - b_NTC.astype(np.float64)
    return float(np.sqrt(np.mean(np.square(difference))))
