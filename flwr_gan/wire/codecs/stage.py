"""What a codec needs to know of a lossy stage that works weight by weight.

The stages themselves are in ``flwr_gan.wire.stages``, which builds on this package. Whether a stage
is handed weights or their differences to a base is the codec's affair: a stage sees numbers, and
where a base is given, ``from_codes`` adds it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from flwr_gan.errors import CodecError
from flwr_gan.wire.codecs.arrays import Array

Positions = np.ndarray[Any, np.dtype[np.int64]]


class Taken(Protocol):
    """Some places of a flat array."""

    @property
    def count(self) -> int:
        """How many."""

    @property
    def positions(self) -> Positions:
        """Which, ascending."""


@dataclass(frozen=True)
class Places:
    """Where coded weights of one array are, of which ``first`` coded ones stand before these."""

    where: Taken | Positions | range
    shape: tuple[int, ...]
    first: int = 0

    @property
    def count(self) -> int:
        """How many there are, k."""
        return len(self.where) if isinstance(self.where, np.ndarray | range) else self.where.count

    @property
    def positions(self) -> Positions:
        """Where they are, int64, shape (k,)."""
        where = self.where
        if isinstance(where, range):
            return np.arange(where.start, where.stop)
        return where if isinstance(where, np.ndarray) else where.positions

    def part(self, first: int, last: int) -> "Places":
        """Return those from the one numbered ``first`` to the one before ``last``."""
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


class Sliceable(Protocol):
    """Numbers of one array, of which parts can be had."""

    def __getitem__(self, part: slice, /) -> Array: ...


class ElementStage(Protocol):
    """Turns weights, or differences of weights, into short codes, one each, and back.

    Where ``shared`` is true, all arrays have their side numbers in common: they are measured once,
    over an array of one axis that all weights make up together, and written once. Where
    ``block_length`` is not 0, an array has one side number, a key of 16 bits, for each so many of
    its coded weights, one after the other.
    """

    wire_id: int
    spec: str
    parameter: int
    contractive: bool
    decodes_finite: bool
    keeps_sign: bool
    keeps_still: bool
    code_dtype: Any
    side_dtype: Any
    shared: bool
    block_length: int

    def for_differences(self) -> "ElementStage":
        """Return the stage that codes differences to a base: this one, or one like it."""

    def side_count(self, shape: tuple[int, ...]) -> int:
        """Return how many numbers are kept for an array of this shape that has no zeros."""

    def check_side(self, side: Array) -> None:
        """Raise ``PayloadError`` if these numbers cannot have been written."""

    def measure(self, values: Array, places: Places) -> Array:
        """Return the numbers to keep, ``side_dtype``, for the coded weights of one array.

        Raises ``CodecError`` if a value cannot be coded, such as NaN where codes are integers.
        """

    def to_codes(self, values: Array, places: Places, side: Array) -> Array:
        """Return one code for each weight or difference, or raise ``CodecError``."""

    def from_codes(
        self,
        codes: Array,
        places: Places,
        side: Array,
        near: Array | None = None,
        out: Array | None = None,
    ) -> Array:
        """Return the weights of these codes, float32 and none of them zero.

        ``near`` is what the receiver holds there, if codes stand for differences to it. They may be
        written to ``out``, which is returned then. Raises ``PayloadError`` if ``to_codes`` cannot
        have returned a code.
        """

    def from_joined_codes(
        self, codes: Array, places: Sequence[Places], sides: Sequence[Array], near: Array | None
    ) -> Array:
        """Return the weights of several arrays' codes, one array after the other."""

    def at_once(self, coded: Array, ends: Array, near: Array) -> Array | None:
        """Return the weights of several arrays of what is coded of them, if there is a fast way.

        ``coded`` (uint8) has side numbers and codes of differences, as ``sparse`` writes them;
        ``ends`` (int64) say where the weights of each array end; ``near`` is what the receiver
        holds there.
        """


def differences(values: Array, near: Array) -> Array:
    """Return ``values - near``, rounded once to float32 and limited to what is finite.

    Both are float32, shape (k,). Raises ``CodecError`` if one of them is not finite.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        found: Array = values - near
    if not np.isfinite(found).all():
        if not (np.isfinite(values).all() and np.isfinite(near).all()):
            raise CodecError(
                "a weight or its base is NaN or infinite, so that no lossy stage can code the "
                "difference; use base_use='mask', or a lossless codec"
            )
        found = found.clip(-_LARGEST, _LARGEST)
    return found


def as_float32(exact: Array) -> Array:
    """Return float64 numbers as float32, limited to what is finite."""
    weights: Array = exact.clip(-_LARGEST, _LARGEST).astype(np.float32)
    return weights


_LARGEST = float(np.finfo(np.float32).max)


def side_shapes(stage: ElementStage, shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Return the shapes of what side numbers are kept for: each array, or all of them as one."""
    if stage.shared and shapes:
        return [(sum(math.prod(shape) for shape in shapes),)]
    return list(shapes)


def measure_all(
    stage: ElementStage, values: Sequence[Sliceable], places: Sequence[Places]
) -> list[Array]:
    """Return the side numbers to write: of each array, or the ones that all have in common."""
    if not (stage.shared and places):
        return [stage.measure(part[:], at) for part, at in zip(values, places, strict=True)]
    joined = np.concatenate([part[:] for part in values])
    (shape,) = side_shapes(stage, [of_one.shape for of_one in places])
    return [stage.measure(joined, Places(range(len(joined)), shape))]


def side_of_each(stage: ElementStage, sides: Sequence[Array], count: int) -> list[Array]:
    """Return the side numbers of each of ``count`` arrays, of those that are written."""
    return list(sides) * count if stage.shared and sides else list(sides)
