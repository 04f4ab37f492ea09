"""Continual learning on a client: what it replays of the past, and whether it uploads.

N samples, K classes, T vectors, C components.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flwr_gan.core.settings import Amount, Count, Settings
from flwr_gan.data import Samples


def replay_labels(counts_K: NDArray[np.int64], *, num_real: int, share: float) -> NDArray[np.int64]:
    """Return the labels to replay (Shin et al., 2017), ascending: a share of all training samples.

    They have the proportions of `counts_K`, what the client has held of each class so far. `share`
    is that of replayed samples among all, 0 to below 1, with `num_real` real ones; it is rounded to
    whole samples. Without earlier samples there are none.
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
    """Upload when samples have moved by `threshold`, and in any case `every` so many rounds.

    With a threshold of 0 every round ends with an upload.
    """

    group = "strategy"

    threshold: Amount
    every: Count

    def is_due(self, distance: float, *, rounds: int) -> bool:
        """Return whether to upload, so many rounds after the last upload.

        A distance of NaN is a change.
        """
        return not distance < self.threshold or rounds >= self.every


def sample_distance(a_NTC: NDArray[np.float32], b_NTC: NDArray[np.float32]) -> float:
    """Return the root mean square difference of samples for the same latents and labels."""
    difference = a_NTC.astype(np.float64) - b_NTC.astype(np.float64)
    return float(np.sqrt(np.mean(np.square(difference))))
