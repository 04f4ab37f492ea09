"""Bits of float32 weights, turned so that what is alike lies together."""

from typing import Any

import numpy as np

# Neither numpy nor mypy keeps track of the types of mixed operands, so both are plain arrays.
Floats = np.ndarray[Any, np.dtype[Any]]
Keys = np.ndarray[Any, np.dtype[Any]]

_EXPONENT = np.uint32(0x7F800000)
_MANTISSA = np.uint32(0x007FFFFF)
_MAGNITUDE = np.uint32(0x7FFFFFFF)


def float_keys(values: Floats) -> Keys:
    """Return the bits of float32 values as exponent (8), sign (1), mantissa (23)."""
    bits: Keys = values.view(np.uint32)
    return (bits & _EXPONENT) << 1 | bits >> 31 << 23 | bits & _MANTISSA


def float_values(keys: Keys) -> Floats:
    """Undo ``float_keys``."""
    bits = keys >> 1 & _EXPONENT | keys >> 23 << 31 | keys & _MANTISSA
    return bits.view(np.float32)


def ordered_differences(values: Floats, base: Floats) -> Keys:
    """Return how many float32 numbers lie from ``base`` to ``values``, modulo 2**32, zigzag.

    Floats in ascending order are numbered one after the other, so that close values are close
    numbers. Zigzag numbers 0, -1, 1, -2, 2 as 0, 1, 2, 3, 4.
    """
    return zigzag(_ordered(values) - _ordered(base))


def add_differences(differences: Keys, base: Floats) -> Floats:
    """Undo ``ordered_differences``."""
    ordered = unzigzag(differences)
    ordered += _ordered(base)
    return _ordered(ordered.view(np.float32)).view(np.float32)


def zigzag(steps: Keys) -> Keys:
    """Turn two's complement numbers 0, -1, 1, -2, 2 into 0, 1, 2, 3, 4."""
    signs: Keys = np.negative(steps >> 31)
    return steps << 1 ^ signs


def unzigzag(numbers: Keys) -> Keys:
    """Undo ``zigzag``."""
    signs: Keys = numbers & 1
    np.negative(signs, out=signs)
    signs ^= numbers >> 1
    return signs


def _ordered(values: Floats) -> Keys:
    bits = values.view(np.uint32)
    # Negative floats ascend as their bits descend. Done twice, this changes nothing.
    turned: Keys = bits >> 31
    np.negative(turned, out=turned)
    turned &= _MAGNITUDE
    turned ^= bits
    return turned
