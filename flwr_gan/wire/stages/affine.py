"""Affine quantisation: whole multiples of a scale above a zero point, both fitted to the weights.

L largest code, 2**bits - 1; s scale, z zero point, of a group (survey of GAN compression, Eq. 9).
"""

from typing import ClassVar

import numpy as np

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.places import Places, Positions
from flwr_gan.wire.codecs.scaling import SMALLEST
from flwr_gan.wire.codecs.settings import OneOf
from flwr_gan.wire.codecs.stage import FINE_BITS, Coded, finite_extremes
from flwr_gan.wire.stages.groups import (
    GRANULARITIES,
    GRANULARITY,
    GroupedStage,
    group_of,
    of_each,
)

BITS = (8, 7, 6, 5, 4, 3, 2)
AFFINE_BITS = (8, 7, 6, 5, 4, 3, 2, 1)
FITS = ("range", "em")

TYPES: dict[str, tuple[str | None, int]] = {f"int{bits}": (None, bits) for bits in BITS}
TYPES |= {f"affine{bits}": ("range", bits) for bits in AFFINE_BITS}
TYPES |= {f"em{bits}": ("em", bits) for bits in AFFINE_BITS}
"""Fit (of the affine ones) and bits of each type."""
SETTINGS = (OneOf("type", tuple(TYPES)), GRANULARITY)

_STARTS = (1.0, 0.6, 0.3)
"""Shares of the range over which the codes are spread at the starts of the fit."""
_MOST_STEPS = 60


class AffineStage(GroupedStage):
    """``w = z + q * s`` with integer ``q`` from 0 to L. Lossy.

    With the fit ``range``, z is the least weight of a group and ``z + L s`` its largest: the error
    is at most ``s / 2``. (With 1 bit the range grows with what error feedback adds: use ``em``.)

    With ``em``, z and s make the mean squared error small, as in QGAN (the survey's Eq. 10): assign
    each weight to the nearest code (expectation), then fit z and s by least squares (maximisation),
    until no code changes; the best of several starts, including the range, is taken. The mean
    squared error is not above that of the range; the error of a weight beyond the outer codes is
    its distance to them, that of any other at most ``s / 2``.

    A survivor whose decoded weight would be zero becomes the tiny ``s * 2**-24``.
    """

    name = "quantize"
    wire_id = 1
    numbers: ClassVar[int] = 2
    keeps_still = False

    settings = SETTINGS

    def __init__(self, *, bits: int = 8, granularity: str = "layer", fit: str = "range") -> None:
        kind = "affine" if fit == "range" else fit
        super().__init__(type=f"{kind}{bits}", granularity=granularity)
        family = 1 if fit == "range" else 2
        form = family * len(GRANULARITIES) + GRANULARITIES.index(granularity)
        self.parameter = bits | form << 4
        self.fit = fit
        self.fine = bits >= FINE_BITS
        self.largest = (1 << bits) - 1
        # Two codes at the ends of the range: error feedback widens the range in every round.
        self.contractive = fit == "em" or bits > 1
        self.set_codes(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)

    def check_side(self, side: Array) -> None:
        """Raise ``PayloadError`` if a number is not finite, or a scale negative."""
        if not (np.isfinite(side).all() and (side[: len(side) // 2] >= 0).all()):
            raise PayloadError("a quantisation scale or zero point is not finite, or negative")

    def measure(self, values: Array, places: Places) -> Array:
        """Return the scales of all groups, then their zero points; 0 where nothing survives."""
        finite_extremes(values, self.spec)
        count = self.group_count(places.shape)
        group = group_of(places, count)
        wide = values.astype(np.float64)
        low, high = np.full(count, np.inf), np.full(count, -np.inf)
        np.minimum.at(low, group, wide)
        np.maximum.at(high, group, wide)
        empty = low > high
        low[empty] = high[empty] = 0
        steps = (high - low) / self.largest
        with np.errstate(over="ignore"):
            scales = steps.astype(np.float32)
        short = scales < steps
        scales[short] = np.nextafter(scales[short], np.float32(np.inf))
        zeros = low.astype(np.float32)
        if not np.isfinite(scales).all():
            raise CodecError(f"{self.spec}: the weights range too far; use more bits")
        if self.fit == "em" and len(wide):
            scales, zeros = _fitted(wide, group, scales, zeros, self.largest)
        return np.concatenate([scales, zeros])

    def coded(self, values: Array, places: Places, side: Array) -> Array:
        """Return ``round((w - z) / s)`` less ``2**(bits - 1)`` as int8, ties to even."""
        scales, zeros = _numbers(places, side)
        steps = _nearest(values.astype(np.float64), scales, zeros, self.largest)
        return (steps + self.lowest).astype(np.int8)

    def decoded(self, codes: Array, places: Places, side: Array) -> Array:
        """Return ``z + q * s`` in double precision."""
        steps = codes.astype(np.int16) - self.lowest
        scales, zeros = _numbers(places, side)
        exact: Array = zeros + steps * scales
        return exact

    def scales(self, places: Places, side: Array) -> Array:
        """Return the scale of each place, or the only one."""
        return _numbers(places, side)[0]

    def error_bound(self, coded: Coded) -> Array:
        """Return ``s / 2`` for each survivor, plus rounding; for ``em``, as measured."""
        if self.fit == "em":
            return super().error_bound(coded)
        scales, zeros = _numbers(coded.places, coded.side)
        steps = coded.codes.astype(np.int16) - self.lowest
        room = (np.abs(zeros) + steps * scales) * 2.0**-23 + SMALLEST
        bound: Array = scales / 2 + room
        return bound


def _numbers(places: Places, side: Array) -> tuple[Array, Array]:
    """Return the scale and the zero point of each place."""
    scales, zeros = np.split(side, 2)
    return of_each(scales, places), of_each(zeros, places)


def _nearest(wide: Array, scales: Array, zeros: Array, largest: int) -> Array:
    """Return the nearest codes from 0 to L."""
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.rint((wide - zeros) / scales)
    nearest: Array = np.clip(np.nan_to_num(steps, nan=0.0), 0, largest)
    return nearest


def _fitted(
    wide: Array, group: Positions, scales: Array, zeros: Array, largest: int
) -> tuple[Array, Array]:
    """Return float32 scales and zero points with less squared error, group by group."""
    count = len(scales)
    best_scales, best_zeros = scales.copy(), zeros.copy()
    least = _squares(wide, group, best_scales, best_zeros, largest)
    members = np.maximum(np.bincount(group, minlength=count), 1)
    middle = np.bincount(group, wide, count) / members
    for share in _STARTS:
        now_s = share * scales.astype(np.float64)
        now_z = middle + share * (zeros - middle)
        before = None
        for _ in range(_MOST_STEPS):
            steps = _nearest(wide, now_s[group], now_z[group], largest)
            if before is not None and np.array_equal(steps, before):
                break
            before = steps
            mean_q = np.bincount(group, steps, count) / members
            off = steps - mean_q[group]
            spread = np.bincount(group, off * off, count)
            slope = np.bincount(group, off * wide, count) / np.where(spread > 0, spread, 1)
            # A group whose weights share one code does not determine the scale.
            now_s = np.where((spread > 0) & (slope > 0), slope, now_s)
            now_z = middle - now_s * mean_q
        with np.errstate(over="ignore"):
            new_scales, new_zeros = now_s.astype(np.float32), now_z.astype(np.float32)
        sound = np.isfinite(new_scales) & np.isfinite(new_zeros)
        new_scales, new_zeros = (
            np.where(sound, new, old) for new, old in ((new_scales, scales), (new_zeros, zeros))
        )
        squares = _squares(wide, group, new_scales, new_zeros, largest)
        better = squares < least
        least = np.where(better, squares, least)
        best_scales = np.where(better, new_scales, best_scales)
        best_zeros = np.where(better, new_zeros, best_zeros)
    return best_scales, best_zeros


def _squares(wide: Array, group: Positions, scales: Array, zeros: Array, largest: int) -> Array:
    """Return the sum of squared errors of each group."""
    s, z = scales.astype(np.float64)[group], zeros.astype(np.float64)[group]
    errors = wide - (z + s * _nearest(wide, s, z, largest))
    squares: Array = np.bincount(group, errors * errors, len(scales))
    return squares
