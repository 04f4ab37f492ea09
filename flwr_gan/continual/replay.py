"""Replay: a client's own earlier samples beside its new data (Shin et al., 2017).

N samples, K classes.
"""

import numpy as np
from numpy.typing import NDArray

from flwr_gan.data import Samples


def replay_labels(counts_K: NDArray[np.int64], *, num_real: int, share: float) -> NDArray[np.int64]:
    """Return the labels to replay, so that they are a given share of all training samples.

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
