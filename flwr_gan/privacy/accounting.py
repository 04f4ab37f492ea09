"""Privacy spending by the Rényi accountant of Opacus, and the noise needed for a budget."""

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from flwr_gan.errors import ConfigError

# Orders of the Rényi divergence; whole ones are quick to compute, and any set gives a valid bound.
ORDERS = (1.1, 1.25, 1.5, 1.75, *range(2, 64), *range(64, 257, 16), 384, 512, 1024)

_LARGEST_NOISE = 1e5
_PRECISION = 1e-3


class Release(NamedTuple):
    """Equal Gaussian mechanisms on Poisson samples, one after another."""

    noise_multiplier: float
    sample_rate: float
    steps: int


def epsilon_of(history: Iterable[Release], delta: float) -> float:
    """Return epsilon at `delta` for all releases together; infinite if one has no noise.

    Raises ConfigError when Opacus is not installed.
    """
    spent = tuple(release for release in history if release.steps)
    if not spent:
        return 0.0
    if any(release.noise_multiplier == 0 for release in spent):
        return math.inf
    return _epsilon(spent, delta)


@lru_cache(maxsize=256)
def _epsilon(history: tuple[Release, ...], delta: float) -> float:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its imports, and of orders at the end of the list
            from opacus.accountants import RDPAccountant

            accountant = RDPAccountant()
            accountant.history = [tuple(release) for release in history]
            return float(accountant.get_epsilon(delta, alphas=list(ORDERS)))
    except ImportError as error:
        raise ConfigError(
            "privacy needs Opacus, whose accountant counts epsilon: pip install 'flwr-gan[privacy]'"
        ) from error


@dataclass
class PrivacyAccount:
    """The releases of one client so far, over all trainings and rounds.

    Equal neighbours of ``history`` are joined.
    """

    delta: float
    history: list[Release] = field(default_factory=list)

    def spend(self, noise_multiplier: float, sample_rate: float, steps: int) -> None:
        """Add releases; call it before they are made."""
        last = self.history[-1] if self.history else None
        if last is not None and last[:2] == (noise_multiplier, sample_rate):
            self.history[-1] = last._replace(steps=last.steps + steps)
        else:
            self.history.append(Release(noise_multiplier, sample_rate, steps))

    @property
    def epsilon(self) -> float:
        """Total spending."""
        return epsilon_of(self.history, self.delta)


@lru_cache(maxsize=256)
def noise_for(
    target_epsilon: float,
    *,
    delta: float,
    sample_rate: float,
    steps: int,
    beside: tuple[Release, ...] = (),
) -> float:
    """Return the smallest noise multiplier, to 0.1 %, that keeps the total within a target.

    It is for ``steps`` critic steps in total, each with the probability ``sample_rate`` that a
    sample is in its batch; the budget also pays for ``beside``. Raises ConfigError when no noise is
    enough.
    """

    def spent(noise: float) -> float:
        return epsilon_of((*beside, Release(noise, sample_rate, steps)), delta)

    enough = 1.0
    while spent(enough) > target_epsilon:
        enough *= 2
        if enough > _LARGEST_NOISE:
            raise ConfigError(
                f"privacy.target_epsilon={target_epsilon} cannot be kept in {steps} critic steps "
                f"at delta={delta} beside label_noise: raise it or privacy.label_noise"
            )
    low = enough / 2 if enough > 1 else 0.0
    while enough - low > _PRECISION * enough:
        middle = (low + enough) / 2
        low, enough = (low, middle) if spent(middle) <= target_epsilon else (middle, enough)
    return enough
