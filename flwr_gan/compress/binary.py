"""Binary weights: the sign of each weight times the mean magnitude of its group.

s scale (survey of GAN compression, on ApGAN: sign bit, and the average weight as scale factor).
"""

from typing import ClassVar

import numpy as np

from flwr_gan.codecs.arrays import Array
from flwr_gan.codecs.stage import Positions
from flwr_gan.compress.groups import (
    GRANULARITIES,
    group_count,
    group_of,
    of_each,
    read_granularity,
)
from flwr_gan.compress.stage import SMALLEST, Stage, check_scales, finite_only
from flwr_gan.errors import CodecError, PayloadError

ALLOWED = "allowed: binary, binary:layer, binary:channel, binary:network"


class BinaryStage(Stage):
    """``w = s`` or ``-s``, where s is the mean of ``|w|``: the least squared error for two weights.

    Lossy: the error of a weight is ``abs(|w| - s)``, so at most the larger of s and ``max|w| - s``.
    A survivor takes one bit.

    Parameters
    ----------
    granularity : {"layer", "channel", "network"}
        One scale for the array, one for each index of its first axis (if it has two axes or more),
        or one for all arrays.
    """

    name: ClassVar[str] = "binary"
    wire_id: ClassVar[int] = 5

    def __init__(self, *, granularity: str = "layer") -> None:
        self.granularity = granularity
        self.spec = f"binary:{granularity}"
        self.parameter = GRANULARITIES.index(granularity)
        self.code_dtype = np.dtype(np.int8)
        self.shared = granularity == "network"
        self.zero_code = 1

    def side_count(self, shape: tuple[int, ...]) -> int:
        """Return the number of scales."""
        return group_count(self.granularity, shape)

    def check_side(self, side: Array) -> None:
        """Raise ``PayloadError`` if a scale is negative or not finite."""
        check_scales(side, self.spec)

    def measure(self, values: Array, positions: Positions, shape: tuple[int, ...]) -> Array:
        """Return the mean magnitude of each group; 0 where nothing survives."""
        finite_only(values, self.spec)
        count = self.side_count(shape)
        group = group_of(positions, shape, count)
        totals = np.bincount(group, np.abs(values.astype(np.float64)), count)
        means = totals / np.maximum(np.bincount(group, minlength=count), 1)
        return means.astype(np.float32)

    def to_codes(
        self,
        values: Array,
        positions: Positions,
        shape: tuple[int, ...],
        side: Array,
        base: Array | None,
    ) -> Array:
        """Return -1 for a negative weight, else 0, as int8."""
        if base is not None:
            raise CodecError(f"{self.spec} codes no differences; use base_use='mask'")
        return -(values < 0).astype(np.int8)

    def from_codes(
        self,
        codes: Array,
        positions: Positions,
        shape: tuple[int, ...],
        side: Array,
        base: Array | None,
    ) -> Array:
        """Return ``s`` or ``-s`` as float32."""
        if ((codes < -1) | (codes > 0)).any():
            raise PayloadError(f"{self.spec}: a code is out of range")
        scales = np.maximum(of_each(side, positions, shape), SMALLEST).astype(np.float32)
        weights: Array = np.where(codes < 0, -scales, scales)
        return weights


def from_spec(arguments: tuple[str, ...]) -> BinaryStage:
    """Build ``binary`` or ``binary:GRANULARITY``."""
    if len(arguments) > 1:
        words = ":".join(("binary", *arguments))
        raise CodecError(f"stage {words!r} cannot be read; {ALLOWED}")
    return BinaryStage(granularity=read_granularity("binary", arguments))


def from_parameter(parameter: int) -> BinaryStage:
    """Build the stage from its number in a payload, or raise ``PayloadError``."""
    if parameter >= len(GRANULARITIES):
        raise PayloadError("payload has settings of binary that this version does not know")
    return BinaryStage(granularity=GRANULARITIES[parameter])
