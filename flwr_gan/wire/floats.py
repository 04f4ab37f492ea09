"""Conversion of the four float types to float32, the type of coded weights, and back.

float16 and bfloat16 numbers are float32 numbers exactly. A float64 may be one too; otherwise it is
the nearest float32 and a whole number, the distance between the two in float64 steps.
"""

from typing import Any

import numpy as np

from flwr_gan.wire.codecs.arrays import BFLOAT16, Array
from flwr_gan.wire.codecs.sparse.parts import FLOAT32

HALF, DOUBLE = np.dtype("<f2"), np.dtype("<f8")

_BLOCK = 1 << 16
_SIGN, _NAN_BIT = np.uint16(0x8000), np.uint16(0x0040)
_LARGEST_BFLOAT16 = np.uint16(0x7F7F)
_INFINITY_BFLOAT16 = np.uint16(0x7F80)
_SMALLEST = np.finfo(np.float32).smallest_subnormal
_CORRECTION = np.iinfo(np.int32)


def is_float(dtype: np.dtype[Any]) -> bool:
    """Return True for float16, bfloat16, float32 and float64, of either byte order."""
    return dtype.newbyteorder("<") in (FLOAT32, HALF, DOUBLE, BFLOAT16)


def nearest_float32(array: Array) -> Array:
    """Return an array of any of the float types as float32, ties to even, with one NaN.

    The same on every machine. A float32 array is returned as it is, with its NaNs.
    """
    if array.dtype == BFLOAT16:
        return _from_bfloat16(array)
    if array.dtype.newbyteorder("<") == FLOAT32:
        return array
    with np.errstate(all="ignore"):
        single = array.astype(np.float32)
    unknown = np.isnan(single)
    # Hardware differs in the bits of a converted NaN.
    return np.where(unknown, np.float32(np.nan), single) if unknown.any() else single


def surviving_float32(array: Array) -> Array:
    """Return the nearest float32 numbers; the smallest one instead of a new zero."""
    single = nearest_float32(array)
    if array.dtype.newbyteorder("<") != DOUBLE:
        return single
    gone = (single == 0) & (array != 0)
    return np.where(gone, np.copysign(_SMALLEST, single), single) if gone.any() else single


def exact_float32(array: Array) -> Array | None:
    """Return a float16, bfloat16 or float64 array as float32; None if that changes a value.

    NaN counts as changed, except in bfloat16, whose bits stay.
    """
    if array.dtype == BFLOAT16:
        return _from_bfloat16(array)
    single = np.empty(array.shape, np.float32)
    wide, flat = array.reshape(-1), single.reshape(-1)
    with np.errstate(all="ignore"):
        for start in range(0, len(wide), _BLOCK):
            block = slice(start, start + _BLOCK)
            flat[block] = wide[block]
            if not (flat[block] == wide[block]).all():
                return None
    return single


def corrected_float32(array: Array) -> tuple[Array, Array] | None:
    """Return a float64 array as float32 and its corrections; None if there is no such form.

    The float32 numbers are the nearest, zero only where the array is zero. For each nonzero number
    the correction (int32) is the bits of the float64 as a whole number, minus the bits of the
    float32 widened to float64.
    """
    single = np.empty(array.shape, np.float32)
    wide, flat = array.reshape(-1), single.reshape(-1)
    parts = []
    with np.errstate(all="ignore"):
        for start in range(0, len(wide), _BLOCK):
            exact = wide[start : start + _BLOCK].astype(DOUBLE)
            near = flat[start : start + _BLOCK] = exact.astype(np.float32)
            steps = exact.view(np.int64) - near.astype(DOUBLE).view(np.int64)
            fits = (_CORRECTION.min <= steps) & (steps <= _CORRECTION.max)
            if not (fits & np.isfinite(near) & ((near == 0) == (exact == 0))).all():
                return None
            parts.append(steps[near != 0].astype(np.int32))
    return single, np.concatenate(parts) if parts else np.empty(0, np.int32)


def apply_corrections(single: Array, corrections: Array) -> Array:
    """Return the float64 array of ``corrected_float32``."""
    wide = single.astype(DOUBLE)
    wide.reshape(-1).view(np.int64)[np.flatnonzero(single)] += corrections
    return wide


def from_float32(single: Array, dtype: np.dtype[Any]) -> Array:
    """Return float32 values as the nearest of another float type, ties to even.

    Finite values stay finite, nonzero values nonzero, and values of the type are unchanged.
    """
    if dtype == BFLOAT16:
        return _to_bfloat16(single)
    if dtype.newbyteorder("<") != HALF:
        return single.astype(dtype, copy=False)
    with np.errstate(all="ignore"):
        half = single.astype(HALF)
    beyond = np.isinf(half) & np.isfinite(single)
    if beyond.any():
        half = np.where(beyond, np.copysign(np.finfo(HALF).max, single), half).astype(HALF)
    gone = (half == 0) & (single != 0)
    if gone.any():
        least = np.finfo(HALF).smallest_subnormal
        half = np.where(gone, np.copysign(least, single), half).astype(HALF)
    return half.astype(dtype, copy=False)


def _from_bfloat16(array: Array) -> Array:
    return (array.view("<u2").astype(np.uint32) << 16).view(np.float32)


def _to_bfloat16(single: Array) -> Array:
    bits = single.reshape(-1).view(np.uint32)
    short = np.empty(len(bits), np.uint16)
    for start in range(0, len(bits), _BLOCK):
        short[start : start + _BLOCK] = _upper_halves(bits[start : start + _BLOCK])
    return short.view(BFLOAT16).reshape(single.shape)


def _upper_halves(bits: Array) -> Array:
    values = bits.view(np.float32)
    upper = (bits >> 16).astype(np.uint16)
    rounded = ((bits + (np.uint32(0x7FFF) + (bits >> 16 & 1))) >> 16).astype(np.uint16)
    size = rounded & ~_SIGN
    rounded = np.where(size == _INFINITY_BFLOAT16, upper & _SIGN | _LARGEST_BFLOAT16, rounded)
    rounded = np.where((size == 0) & (values != 0), rounded | np.uint16(1), rounded)
    special = ~np.isfinite(values)
    if not special.any():
        return rounded
    # The upper half of a NaN may be the upper half of an infinity.
    lost = np.isnan(values) & (upper & 0x007F == 0)
    return np.where(special, np.where(lost, upper | _NAN_BIT, upper), rounded)
