"""Uniform quantisation: whole multiples of a scale, symmetric about zero.

L largest code, 2**(bits - 1) - 1; s scale, max|w| / L over a layer or a channel (first axis).
"""

from typing import ClassVar

import numpy as np

from flwr_gan.codecs.arrays import Array
from flwr_gan.codecs.registry import unknown_word
from flwr_gan.codecs.stage import Positions
from flwr_gan.compress.stage import Coded, Stage
from flwr_gan.errors import CodecError, PayloadError

BITS = (8, 6, 5, 4)
GRANULARITIES = ("layer", "channel")

_SMALLEST = np.float32(2.0**-149)
_LARGEST = float(np.finfo(np.float32).max)
_ZERO_FRACTION = 2.0**-24


class QuantizeStage(Stage):
    """``w = q * s`` with integer ``q`` from -L to L. Lossy: the error is at most ``s / 2``.

    A survivor that rounds to zero stays in the mask: it is decoded as the tiny ``s * 2**-24``, so
    that the zeros of the decoded array are the mask. Relative to a base, ``w = base + q * s``.

    Parameters
    ----------
    bits : {8, 6, 5, 4}
        Bits of a code before entropy coding.
    granularity : {"layer", "channel"}
        One scale for the array, or one for each index of its first axis.
    """

    name: ClassVar[str] = "quantize"
    wire_id: ClassVar[int] = 1

    def __init__(self, *, bits: int = 8, granularity: str = "layer") -> None:
        self.granularity = granularity
        self.spec = f"quantize:int{bits}:{granularity}"
        self.parameter = bits | GRANULARITIES.index(granularity) << 4
        self.code_dtype = np.dtype(np.int8)
        self.allows_base = True
        self.largest = (1 << (bits - 1)) - 1
        self.zero_code = -self.largest - 1

    def side_count(self, shape: tuple[int, ...]) -> int:
        """Return the number of scales."""
        if self.granularity == "channel" and shape:
            return shape[0] if all(shape) else 0
        return 1

    def check_side(self, side: Array) -> None:
        """Raise ``PayloadError`` if a scale is negative or not finite."""
        if not (np.isfinite(side).all() and (side >= 0).all()):
            raise PayloadError("a quantisation scale is negative or not finite")

    def measure(self, values: Array, positions: Positions, shape: tuple[int, ...]) -> Array:
        """Return the scales: the largest magnitude by L, rounded up; 0 where nothing survives."""
        if not np.isfinite(values).all():
            raise CodecError(f"{self.spec} cannot code NaN or infinity; use a lossless codec")
        peaks = np.zeros(self.side_count(shape), np.float32)
        if len(peaks) == 1 and len(values):
            peaks[0] = max(values.max(), -values.min())
        elif len(values):
            np.maximum.at(peaks, self._groups(positions, shape), np.abs(values))
        wide = peaks.astype(np.float64)
        scales = (wide / self.largest).astype(np.float32)
        short = scales.astype(np.float64) * self.largest < wide
        return np.where(short, np.nextafter(scales, np.float32(np.inf)), scales)

    def to_codes(
        self,
        values: Array,
        positions: Positions,
        shape: tuple[int, ...],
        side: Array,
        base: Array | None,
    ) -> Array:
        """Return ``round((w - base) / s)`` as int8, ties to even."""
        wanted = values.astype(np.float64)
        if base is not None:
            wanted = wanted - base
        with np.errstate(divide="ignore", invalid="ignore"):
            codes = np.rint(wanted / self._scales(positions, shape, side))
        if not (np.abs(codes) <= self.largest).all():
            raise CodecError(f"{self.spec}: a difference to the base is too large for its codes")
        return codes.astype(np.int8)

    def from_codes(
        self,
        codes: Array,
        positions: Positions,
        shape: tuple[int, ...],
        side: Array,
        base: Array | None,
    ) -> Array:
        """Return ``base + q * s``, computed in double precision and rounded once."""
        scales = self._scales(positions, shape, side)
        exact = codes * scales
        if base is not None:
            exact = exact + base
        weights: Array = np.clip(exact, -_LARGEST, _LARGEST).astype(np.float32)
        zero = weights == 0
        if zero.any():
            tiny = np.maximum((scales * _ZERO_FRACTION).astype(np.float32), _SMALLEST)
            weights = np.where(zero, tiny, weights)
        return weights

    def error_bound(self, coded: Coded) -> Array:
        """Return ``s / 2`` for each survivor, with room for one rounding to float32."""
        scales = self._scales(coded.positions, coded.shape, coded.side)
        room = np.abs(coded.codes * scales) * 2.0**-23 + float(_SMALLEST)
        bound: Array = scales / 2 + room
        return bound

    def _groups(self, positions: Positions, shape: tuple[int, ...]) -> Positions:
        each = int(np.prod(shape[1:], dtype=np.int64))
        groups: Positions = positions // max(each, 1)
        return groups

    def _scales(self, positions: Positions, shape: tuple[int, ...], side: Array) -> Array:
        wide: Array = side.astype(np.float64)
        return wide if len(wide) == 1 else wide[self._groups(positions, shape)]


def from_spec(arguments: tuple[str, ...]) -> QuantizeStage:
    """Build ``quantize:intB`` or ``quantize:intB:GRANULARITY``."""
    kinds = {f"int{bits}": bits for bits in BITS}
    if not arguments or len(arguments) > 2:
        words = ":".join(("quantize", *arguments))
        raise CodecError(f"stage {words!r} cannot be read; allowed: quantize:int8:layer and alike")
    if arguments[0] not in kinds:
        raise unknown_word("quantize type", arguments[0], kinds)
    granularity = arguments[1] if len(arguments) == 2 else "layer"
    if granularity not in GRANULARITIES:
        raise unknown_word("quantize granularity", granularity, GRANULARITIES)
    return QuantizeStage(bits=kinds[arguments[0]], granularity=granularity)


def from_parameter(parameter: int) -> QuantizeStage:
    """Build the stage from its byte in a payload, or raise ``PayloadError``."""
    bits, granularity = parameter & 15, parameter >> 4
    if bits not in BITS or granularity >= len(GRANULARITIES):
        raise PayloadError("payload has settings of quantize that this version does not know")
    return QuantizeStage(bits=bits, granularity=GRANULARITIES[granularity])
