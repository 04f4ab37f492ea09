"""Settings of differentially private training of the critic on a client."""

import math
from dataclasses import dataclass

from flwr_gan.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class PrivacyConfig:
    """How a client hides each of its samples from everybody who sees what it uploads.

    Exactly one of `noise_multiplier` and `target_epsilon` is set.

    Parameters
    ----------
    noise_multiplier : float or None
        Standard deviation of the noise on the summed gradients of a critic step, over `clip`;
        0 clips only and promises nothing (epsilon is infinite).
    target_epsilon : float or None
        Epsilon that a client has spent at the end of the run; each client's noise multiplier
        follows from it, from the number of its samples and from the planned critic steps.
    delta : float
        Below one over the number of samples of every client.
    clip : float
        Largest Euclidean norm of one sample's gradient over all critic weights.
    label_noise : float
        Standard deviation of the noise on the client's class counts, which are released once.
    secret : bool
        False: batches and noise follow from the run's seed, so that a run can be repeated, and
        whoever knows the seed can take the noise off again. True: they come from the operating
        system, as a deployment needs.

    Raises
    ------
    ConfigError
        If a value is of the wrong type or out of range; names the key, the value and what is
        allowed.
    """

    noise_multiplier: float | None = None
    target_epsilon: float | None = None
    delta: float = 1e-4
    clip: float = 1.0
    label_noise: float = 4.0
    secret: bool = False

    def __post_init__(self) -> None:
        if (self.noise_multiplier is None) == (self.target_epsilon is None):
            raise ConfigError(
                f"privacy.noise_multiplier={self.noise_multiplier} and privacy.target_epsilon="
                f"{self.target_epsilon}: set one of them and leave the other null"
            )
        noise, target = self.noise_multiplier, self.target_epsilon
        least = "a number of at least 0, or null"
        self._require("noise_multiplier", noise is None or 0 <= noise < math.inf, least)
        above = "a number above 0, or null"
        self._require("target_epsilon", target is None or 0 < target < math.inf, above)
        self._require("delta", 0 < self.delta < 1, "a number between 0 and 1")
        for key in ("clip", "label_noise"):
            self._require(key, 0 < getattr(self, key) < math.inf, "a number above 0")

    def _require(self, key: str, holds: bool, allowed: str) -> None:
        if not holds:
            raise ConfigError(f"privacy.{key}={getattr(self, key)} is not allowed: give {allowed}")
