"""Flexpoint: a mantissa of 16 bits for each weight and one exponent of 5 bits for the array.

m mantissa, e exponent (survey of GAN compression, on Koster et al.).
"""

import numpy as np

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.places import Places
from flwr_gan.wire.codecs.scaling import SMALLEST
from flwr_gan.wire.codecs.stage import Coded, Stage, finite_extremes

LARGEST_MANTISSA = (1 << 15) - 1
LARGEST_EXPONENT = 31

_MIDDLE = 1 << 15


class FlexpointStage(Stage):
    """``w = m * 2**-e``, m from -32,767 to 32,767, one e from 0 to 31 per array. Lossy.

    e is the largest that keeps every ``|m|`` within 32,767. The error is at most ``2**-(e + 1)``,
    which is at most 2**-15 of a largest magnitude from 2**-17 to 32,767. Arrays of smaller numbers
    lose more, larger ones are refused. A survivor with m = 0 stays in the mask, as 2**-149.
    """

    name = "flexpoint"
    wire_id = 7
    code_dtype = np.dtype("<u2")
    side_dtype = np.dtype(np.uint8)

    allowed = "allowed: flexpoint, without settings"

    def __init__(self) -> None:
        super().__init__()
        self.set_codes(1, 0xFFFF)

    def side_count(self, shape: tuple[int, ...]) -> int:
        """Return 1: the exponent."""
        return 1

    def check_side(self, side: Array) -> None:
        """Raise ``PayloadError`` if the exponent has more than 5 bits."""
        if (side > LARGEST_EXPONENT).any():
            raise PayloadError(f"{self.spec}: an exponent has more than 5 bits")

    def measure(self, values: Array, places: Places) -> Array:
        """Return the exponent; 0 where nothing survives."""
        finite_extremes(values, self.spec)
        peak = float(np.abs(values).max(initial=0))
        if np.rint(peak) > LARGEST_MANTISSA:
            raise CodecError(
                f"{self.spec} codes weights up to {LARGEST_MANTISSA}, not {peak:g}; use cast:bf16"
            )
        exponents = np.arange(LARGEST_EXPONENT + 1)
        fits = np.rint(peak * 2.0**exponents) <= LARGEST_MANTISSA
        largest = int(exponents[fits][-1]) if peak else 0
        return np.array([largest], np.uint8)

    def coded(self, values: Array, places: Places, side: Array) -> Array:
        """Return ``round(w * 2**e) + 32,768`` as uint16, ties to even."""
        mantissas = np.rint(values.astype(np.float64) / _step(side))
        return (mantissas + _MIDDLE).astype(np.uint16)

    def decoded(self, codes: Array, places: Places, side: Array) -> Array:
        """Return ``m * 2**-e``, exact in float32."""
        exact: Array = (codes.astype(np.int32) - _MIDDLE) * _step(side)
        return exact

    def error_bound(self, coded: Coded) -> Array:
        """Return ``2**-(e + 1)`` for each survivor, and room for the tiny number."""
        step = float(_step(coded.side)[0])
        bound: Array = np.full(len(coded.codes), step / 2 + SMALLEST)
        return bound


def _step(side: Array) -> Array:
    step: Array = np.ldexp(1.0, -side.astype(np.int32))
    return step
