"""Settings of iterative pruning (paper 000, Alg. 2)."""

import math
from dataclasses import dataclass

from flwr_gan.errors import ConfigError

SCOPES = ("global", "local")


@dataclass(frozen=True, kw_only=True)
class LotteryConfig:
    """How a generator is pruned to a ticket.

    Parameters
    ----------
    rate : float
        delta, the share of the surviving weights that each pruning removes; in (0, 1).
    iterations : int
        P, the number of prunings; 0 leaves the generator dense.
    scope : str
        ``"global"``: the smallest weights of the whole network go.
        ``"local"``: the same share goes from each layer.
    train_final : bool
        True: the ticket is trained once more under its final mask, P + 1 trainings in all.
        False: Alg. 2 as printed, P trainings, the last pruning comes after the last training.
    min_kept_per_layer : int
        Weights that every layer keeps whatever their size. With 0, a layer that would lose
        everything is an error.

    Raises
    ------
    ConfigError
        If a value is of the wrong type or out of range; names the key, the value and what is
        allowed.
    """

    rate: float = 0.2
    iterations: int = 5
    scope: str = "global"
    train_final: bool = True
    min_kept_per_layer: int = 0

    def __post_init__(self) -> None:
        rate = self.rate
        number = isinstance(rate, (int, float)) and not isinstance(rate, bool)
        inside = number and math.isfinite(rate) and 0 < rate < 1
        self._require("rate", inside, "a number above 0 and below 1")
        self._require("iterations", _is_count(self.iterations), "a whole number of at least 0")
        self._require("scope", self.scope in SCOPES, " or ".join(SCOPES))
        self._require("train_final", isinstance(self.train_final, bool), "true or false")
        trained = self.train_final is True or self.iterations > 0
        self._require(
            "train_final", trained, "true where lottery.iterations=0: nothing trains else"
        )
        floor = self.min_kept_per_layer
        self._require("min_kept_per_layer", _is_count(floor), "a whole number of at least 0")

    def _require(self, key: str, holds: bool, allowed: str) -> None:
        if not holds:
            value = getattr(self, key)
            raise ConfigError(f"lottery.{key}={value!r} is not allowed: give {allowed}")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
