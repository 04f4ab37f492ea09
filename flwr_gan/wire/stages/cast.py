"""Shorter floats: IEEE half precision, and the upper half of float32."""

from typing import Any

import numpy as np

from flwr_gan.errors import CodecError
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.places import Places
from flwr_gan.wire.codecs.settings import OneOf
from flwr_gan.wire.codecs.stage import Coded, Stage

TYPES = ("fp16", "bf16")

_LARGEST_CODE = 0xFFFE
_MANTISSA_BITS = {"fp16": 10, "bf16": 7}


class CastStage(Stage):
    """Rounds to the nearest 16-bit float, ties to even. Lossy.

    The error is at most 2**-11 (fp16) or 2**-8 (bf16) of the magnitude, and below the smallest
    normal number half of the spacing there; NaN and infinity stay. A survivor that rounds to zero
    becomes 2**-149, so that it stays in the mask. Codes are the bits of the float as exponent,
    sign, mantissa.
    """

    name = "cast"
    wire_id = 2
    code_dtype = np.dtype("<u2")

    settings = (OneOf("type", TYPES),)
    allowed = "allowed: cast:fp16, cast:bf16"
    type: str

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.set_codes(0, _LARGEST_CODE)
        self.zero_code = _LARGEST_CODE + 1
        self._mantissa = _MANTISSA_BITS[self.type]

    def side_count(self, shape: tuple[int, ...]) -> int:
        """Return 0."""
        return 0

    def check_side(self, side: Array) -> None:
        """Accept the empty array."""

    def measure(self, values: Array, places: Places) -> Array:
        """Return no numbers."""
        return np.empty(0, np.float32)

    def coded(self, values: Array, places: Places, side: Array) -> Array:
        """Return the rearranged bits of the short floats as uint16."""
        if self.type == "fp16":
            with np.errstate(all="ignore"):
                bits = values.astype(np.float16).view(np.uint16)
        else:
            bits = _upper_bits(values)
        infinite = (bits & 0x7FFF) == (0x7FFF >> self._mantissa << self._mantissa)
        if (infinite & np.isfinite(values)).any():
            raise CodecError(f"{self.spec}: a value is beyond the range; use a lossless codec")
        bits = np.where(bits & 0x7FFF, bits, np.uint16(0))
        mantissa = self._mantissa
        exponent = (bits & 0x7FFF) >> mantissa << (mantissa + 1)
        codes = exponent | bits >> 15 << mantissa | bits & ((1 << mantissa) - 1)
        # The code of one of the many NaNs stands for zeros that must not look pruned.
        limited: Array = np.minimum(codes, np.uint16(_LARGEST_CODE))
        return limited

    def decoded(self, codes: Array, places: Places, side: Array) -> Array:
        """Return the short floats as float32, exactly."""
        mantissa = self._mantissa
        exponent = codes >> (mantissa + 1) << mantissa
        bits = exponent | (codes >> mantissa & 1) << 15 | codes & ((1 << mantissa) - 1)
        if self.type == "fp16":
            with np.errstate(all="ignore"):
                return bits.view(np.float16).astype(np.float32)
        return (bits.astype(np.uint32) << 16).view(np.float32)

    def error_bound(self, coded: Coded) -> Array:
        """Return half of the spacing at each decoded weight, or the smallest number near zero."""
        weights = self.decoded(coded.codes, coded.places, coded.side)
        smallest = 2.0**-24 if self.type == "fp16" else 2.0**-133
        with np.errstate(invalid="ignore"):
            spacing = np.abs(weights.astype(np.float64)) * 2.0 ** -(self._mantissa + 1)
        return np.maximum(spacing, smallest)


def _upper_bits(values: Array) -> np.ndarray[Any, np.dtype[np.uint16]]:
    bits = values.view(np.uint32)
    rounded = (bits + (0x7FFF + (bits >> 16 & 1)).astype(np.uint32)) >> 16
    # Rounding could carry a NaN into the exponent, and truncation could leave an infinity.
    return np.where(np.isnan(values), bits >> 16 | 0x40, rounded).astype(np.uint16)
