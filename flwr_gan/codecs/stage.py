"""What a codec needs to know of a lossy stage that works weight by weight.

The stages themselves are in ``flwr_gan.compress``, which builds on this package.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from flwr_gan.codecs.arrays import Array

Positions = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class SideValues:
    """Numbers that a stage keeps beside the codes of one array, such as its scales."""

    values: Array
    shape: tuple[int, ...]


class ElementStage(Protocol):
    """Turns surviving weights into short codes, one a weight, and back."""

    wire_id: ClassVar[int]
    spec: str
    parameter: int
    code_dtype: Any
    allows_base: bool

    def side_count(self, shape: tuple[int, ...]) -> int:
        """Return how many float32 numbers are kept for an array of this shape."""

    def check_side(self, side: Array) -> None:
        """Raise ``PayloadError`` if these numbers cannot have been written."""

    def measure(self, values: Array, positions: Positions, shape: tuple[int, ...]) -> Array:
        """Return the numbers to keep, float32, for the survivors of one array.

        Raises
        ------
        CodecError
            If a value cannot be coded, such as NaN where codes are integers.
        """

    def to_codes(
        self,
        values: Array,
        positions: Positions,
        shape: tuple[int, ...],
        side: Array,
        base: Array | None,
    ) -> Array:
        """Return one code for each survivor.

        Raises
        ------
        CodecError
            If a value, or its difference to the base, cannot be coded.
        """

    def from_codes(
        self,
        codes: Array,
        positions: Positions,
        shape: tuple[int, ...],
        side: Array,
        base: Array | None,
    ) -> Array:
        """Return the weights of these codes, float32 and none of them zero."""
