"""Whole multiples of scales: weights to codes and back, by numba's loops or numpy's.

k weights; a scale for each block of them, or one for all.
"""

import numpy as np

from flwr_gan.wire.codecs import compiled
from flwr_gan.wire.codecs.arrays import Array

SMALLEST = 2.0**-149
"""Smallest float32 number."""

ZERO_FRACTION = 2.0**-24
"""Share of its scale that a survivor becomes instead of zero."""

LARGEST = float(np.finfo(np.float32).max)
"""Largest finite float32 number."""

_PART = 1 << 15
_WHOLE = 1 << 62


def quantised(
    values: Array, scales: Array, *, largest: int, block: int = _WHOLE, first: int = 0
) -> Array:
    """Return ``round(value * (1 / scale))``, int8, ties to even, from -largest to largest.

    Computed in double precision, with one factor per ``block`` values, by default all; ``first``
    values of the first block precede these. Where a scale (float64) is 0, the code is 0.
    """
    codes = np.empty(len(values), np.int8)
    of_scales = factors(scales)
    loops = compiled.kernels()
    if loops is not None:
        loops.quantise(values, of_scales, block, first, largest, codes)
        return codes
    with compiled.slow_part():
        for part in _parts(len(values)):
            exact = values[part] * _of_each(of_scales, block, first, part)
            np.rint(exact, out=exact)
            codes[part] = exact.clip(-largest, largest)
    return codes


def factors(scales: Array) -> Array:
    """Return ``1 / scale`` in double precision for each scale, and 0 for a scale of 0."""
    found: Array = np.divide(1.0, scales, out=np.zeros(len(scales)), where=scales != 0)
    return found


def dequantised(
    codes: Array,
    scales: Array,
    near: Array | None,
    *,
    block: int = _WHOLE,
    first: int = 0,
    out: Array | None = None,
) -> Array:
    """Return ``near + code * scale`` in double precision, rounded once to float32.

    The result is limited to finite numbers. A weight that would be zero becomes ``2**-24`` of its
    scale, at least 2**-149, so that it stays in the mask. Scales are as for ``quantised``; the
    weights may be written to ``out``.
    """
    weights = np.empty(len(codes), np.float32) if out is None else out
    loops = compiled.kernels()
    if loops is not None:
        held = np.empty(0, np.float32) if near is None else np.ascontiguousarray(near)
        loops.dequantise(codes, scales, block, first, held, weights)
        return weights
    with compiled.slow_part():
        for part in _parts(len(codes)):
            scale = _of_each(scales, block, first, part)
            exact = codes[part] * scale
            if near is not None:
                exact += near[part]
            weights[part] = without_zeros(as_float32(exact), scale)
    return weights


def as_float32(exact: Array) -> Array:
    """Return float64 numbers as float32, limited to finite numbers."""
    weights: Array = exact.clip(-LARGEST, LARGEST).astype(np.float32)
    return weights


def half_a_step(codes: Array, scales: Array) -> Array:
    """Return ``s / 2`` for each code of scale s, plus one rounding to float32."""
    bound: Array = scales / 2 + np.abs(codes * scales) * 2.0**-23 + SMALLEST
    return bound


def without_zeros(weights: Array, scales: Array) -> Array:
    """Return float32 weights, zeros replaced by ``2**-24`` of the scale (one, or one each)."""
    zero = weights == 0
    if zero.any():
        least = np.maximum((scales * ZERO_FRACTION).astype(np.float32), np.float32(SMALLEST))
        weights = np.where(zero, least, weights)
    return weights


def _parts(count: int) -> list[slice]:
    return [slice(at, min(at + _PART, count)) for at in range(0, count, _PART)]


def _of_each(numbers: Array, block: int, first: int, part: slice) -> Array:
    """Return the factor of each value of a part, or the only one."""
    if len(numbers) == 1:
        return numbers
    before = first + part.start
    chosen = numbers[before // block : -(-(first + part.stop) // block)]
    count = part.stop - part.start
    each: Array = np.repeat(chosen, block)[before % block : before % block + count]
    return each
