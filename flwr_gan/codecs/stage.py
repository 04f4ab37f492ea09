"""What a codec needs to know of a lossy stage that works weight by weight.

The stages themselves are in ``flwr_gan.compress``, which builds on this package.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from flwr_gan.codecs.arrays import Array

Positions = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Places:
    """Where the survivors of one array are.

    Parameters
    ----------
    positions : numpy.ndarray of int64, shape (k,)
        In the flat array.
    shape : tuple of int
        Of the array.
    base : numpy.ndarray of float32, shape (k,), optional
        What the receiver holds there, if codes stand for differences to it.
    """

    positions: Positions
    shape: tuple[int, ...]
    base: Array | None = None


class ElementStage(Protocol):
    """Turns surviving weights into short codes, one a weight, and back.

    Where ``shared`` is true, all arrays have their side numbers in common: they are measured once,
    over an array of one axis that all weights make up together, and written once.
    """

    wire_id: ClassVar[int]
    spec: str
    parameter: int
    code_dtype: Any
    side_dtype: Any
    allows_base: bool
    shared: bool

    def side_count(self, shape: tuple[int, ...]) -> int:
        """Return how many numbers are kept for an array of this shape."""

    def check_side(self, side: Array) -> None:
        """Raise ``PayloadError`` if these numbers cannot have been written."""

    def measure(self, values: Array, places: Places) -> Array:
        """Return the numbers to keep, ``side_dtype``, for the survivors of one array.

        Raises
        ------
        CodecError
            If a value cannot be coded, such as NaN where codes are integers.
        """

    def to_codes(self, values: Array, places: Places, side: Array) -> Array:
        """Return one code for each survivor.

        Raises
        ------
        CodecError
            If a value, or its difference to the base, cannot be coded.
        """

    def from_codes(self, codes: Array, places: Places, side: Array) -> Array:
        """Return the weights of these codes, float32 and none of them zero.

        Raises
        ------
        PayloadError
            If ``to_codes`` cannot have returned a code.
        """

    def from_joined_codes(
        self, codes: Array, places: Sequence[Places], sides: Sequence[Array], near: Array | None
    ) -> Array:
        """Return the weights of several arrays' codes, one array after the other.

        ``near`` is what the receiver holds at all places, if codes stand for differences to it.
        """


def side_shapes(stage: ElementStage, shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Return the shapes of what side numbers are kept for: each array, or all of them as one."""
    if stage.shared and shapes:
        return [(sum(math.prod(shape) for shape in shapes),)]
    return list(shapes)


def measure_all(
    stage: ElementStage, values: Sequence[Array], places: Sequence[Places]
) -> list[Array]:
    """Return the side numbers to write: of each array, or the ones that all have in common."""
    if not (stage.shared and places):
        return [stage.measure(*pair) for pair in zip(values, places, strict=True)]
    joined = np.concatenate(values)
    (shape,) = side_shapes(stage, [of_one.shape for of_one in places])
    return [stage.measure(joined, Places(np.arange(len(joined)), shape))]


def side_of_each(stage: ElementStage, sides: Sequence[Array], count: int) -> list[Array]:
    """Return the side numbers of each of ``count`` arrays, of those that are written."""
    return list(sides) * count if stage.shared and sides else list(sides)
