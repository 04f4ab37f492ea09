"""Whether a client's generator has changed enough to be uploaded.

N samples, T vectors, C components.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flwr_gan.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class UploadRule:
    """Upload when the samples have moved, or after some rounds in any case.

    Parameters
    ----------
    threshold : float
        Least distance of samples that counts as a change; 0 uploads in every round.
    every : int
        Rounds after the last upload in which one is due whatever the distance; 1 or more.

    Raises
    ------
    ConfigError
        If a value is of the wrong type or out of range.
    """

    threshold: float
    every: int

    def __post_init__(self) -> None:
        if not _is_number(self.threshold) or not 0 <= self.threshold < math.inf:
            raise ConfigError(
                f"strategy.threshold={self.threshold}: allowed is a number of at least 0"
            )
        if isinstance(self.every, bool) or not isinstance(self.every, int) or self.every < 1:
            raise ConfigError(f"strategy.every={self.every}: allowed is a whole number from 1 up")

    def is_due(self, distance: float, *, rounds: int) -> bool:
        """Tell whether to upload.

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


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
