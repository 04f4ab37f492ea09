"""Places of the coded weights of an array."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Positions = np.ndarray[Any, np.dtype[np.int64]]


class Taken(Protocol):
    """Some places of a flat array."""

    @property
    def count(self) -> int:
        """Number of places."""

    @property
    def positions(self) -> Positions:
        """The places, ascending."""


@dataclass(frozen=True)
class Places:
    """Places of coded weights of an array; ``first`` other weights are coded before them."""

    where: Taken | Positions | range
    shape: tuple[int, ...]
    first: int = 0

    @property
    def count(self) -> int:
        """Number of places, k."""
        return len(self.where) if isinstance(self.where, np.ndarray | range) else self.where.count

    @property
    def positions(self) -> Positions:
        """The places, int64, shape (k,)."""
        where = self.where
        if isinstance(where, range):
            return np.arange(where.start, where.stop)
        return where if isinstance(where, np.ndarray) else where.positions

    def part(self, first: int, last: int) -> "Places":
        """Return the places numbered from ``first`` to ``last - 1``."""
        return Places(_Part(self, first, last), self.shape, self.first + first)


@dataclass(frozen=True)
class _Part:
    whole: Places
    first: int
    last: int

    @property
    def count(self) -> int:
        return self.last - self.first

    @property
    def positions(self) -> Positions:
        return self.whole.positions[self.first : self.last]
