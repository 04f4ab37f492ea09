"""Uniform quantisation: whole multiples of a scale, symmetric about zero.

L largest code, 2**(bits - 1) - 1; s scale, max|w| / L over a group: paper 001, Eq. 4 to 6, with L
instead of the printed 2**bits - 1, whose codes need one more bit for the sign: k bits in the paper
are ``int(k + 1)`` here.
"""

from functools import cached_property
from typing import ClassVar

import numpy as np

from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.places import Places
from flwr_gan.wire.codecs.scaling import dequantised, factors, half_a_step, quantised
from flwr_gan.wire.codecs.settings import unknown_settings
from flwr_gan.wire.codecs.stage import FINE_BITS, Coded, Stage, finite_extremes
from flwr_gan.wire.stages.affine import AFFINE_BITS, BITS, FITS, SETTINGS, TYPES, AffineStage
from flwr_gan.wire.stages.blocks import BlockQuantizeStage
from flwr_gan.wire.stages.groups import (
    GRANULARITIES,
    GroupedStage,
    group_of,
)


class QuantizeStage(GroupedStage):
    """``w = q * s`` with integer ``q`` from -L to L. Lossy: the error is at most ``s / 2``.

    A survivor that rounds to zero stays in the mask: it is decoded as the tiny ``s * 2**-24``, so
    that the zeros of the decoded array are the mask. With the granularity ``"layer"``, differences
    to a base have one scale per block of survivors (``BlockQuantizeStage``).
    """

    name = "quantize"
    wire_id = 1
    least_axes: ClassVar[int] = 1
    decodes_finite = True
    keeps_sign = True

    settings = SETTINGS
    allowed = (
        "allowed: quantize:intB, B from 2 to 8, quantize:affineB or quantize:emB, B from 1 to 8, "
        "each also with :layer, :channel or :network, such as quantize:int8:channel"
    )

    def __init__(self, *, bits: int = 8, granularity: str = "layer") -> None:
        super().__init__(type=f"int{bits}", granularity=granularity)
        self.bits = bits
        self.fine = bits >= FINE_BITS
        self.largest = (1 << (bits - 1)) - 1
        self.parameter = bits | GRANULARITIES.index(granularity) << 4
        self.set_codes(-self.largest, self.largest)

    @classmethod
    def from_spec(cls, words: tuple[str, ...]) -> Stage:  # type: ignore[override]
        """Build ``quantize:TYPE`` or ``quantize:TYPE:GRANULARITY``."""
        values = cls.read_words(words, cls.settings)
        fit, bits = TYPES[values["type"]]
        if fit is None:
            return cls(bits=bits, granularity=values["granularity"])
        return AffineStage(bits=bits, granularity=values["granularity"], fit=fit)

    @classmethod
    def from_parameter(cls, parameter: int) -> Stage:  # type: ignore[override]
        """Build the stage from its number in a payload, or raise ``PayloadError``."""
        bits, form = parameter & 15, parameter >> 4
        family, number = divmod(form, len(GRANULARITIES))
        granularity = GRANULARITIES[number]
        if family == 0 and bits in BITS:
            return cls(bits=bits, granularity=granularity)
        if 0 < family <= len(FITS) and bits in AFFINE_BITS:
            return AffineStage(bits=bits, granularity=granularity, fit=FITS[family - 1])
        raise unknown_settings(cls.name)

    def for_differences(self) -> Stage:
        """Return the stage with one scale per block instead of one per layer."""
        return self if self.granularity != GRANULARITIES[0] else self._of_blocks

    @cached_property
    def _of_blocks(self) -> BlockQuantizeStage:
        return BlockQuantizeStage(largest=self.largest, spec=self.spec, parameter=self.parameter)

    def measure(self, values: Array, places: Places) -> Array:
        """Return the scales: largest magnitude / L, rounded up; 0 where nothing survives."""
        least, most = finite_extremes(values, self.spec)
        peaks = np.zeros(self.group_count(places.shape), np.float32)
        if len(peaks) == 1 and len(values):
            peaks[0] = max(most, -least)
        elif len(values):
            np.maximum.at(peaks, group_of(places, len(peaks)), np.abs(values))
        wide = peaks.astype(np.float64)
        scales = (wide / self.largest).astype(np.float32)
        short = scales.astype(np.float64) * self.largest < wide
        scales[short] = np.nextafter(scales[short], np.float32(np.inf))
        return scales

    def coded(self, values: Array, places: Places, side: Array) -> Array:
        """Return ``round(w * (1 / s))`` as int8, ties to even; 0 where s is 0."""
        if len(side) == 1:
            return quantised(values, side.astype(np.float64), largest=self.largest)
        codes: Array = np.rint(values * factors(self.scales(places, side)))
        return codes.astype(np.int8)

    def from_codes(
        self,
        codes: Array,
        places: Places,
        side: Array,
        near: Array | None = None,
        out: Array | None = None,
    ) -> Array:
        """Return the float32 weights of these codes, or raise ``PayloadError``."""
        if len(side) != 1:
            return super().from_codes(codes, places, side, near, out)
        self.check_codes(codes)
        return dequantised(codes, side.astype(np.float64), near, out=out)

    def error_bound(self, coded: Coded) -> Array:
        """Return ``s / 2`` for each survivor, with room for one rounding to float32."""
        return half_a_step(coded.codes, self.scales(coded.places, coded.side))
