"""Bits of float32 weights, turned so that what is alike lies together."""

from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float32]]
Keys = np.ndarray[Any, np.dtype[np.uint32]]


def float_keys(values: Floats) -> Keys:
    """Return the bits of float32 values as exponent (8), sign (1), mantissa (23)."""
    bits = values.view(np.uint32)
    return (bits & 0x7F800000) << 1 | bits >> 31 << 23 | bits & 0x7FFFFF


def float_values(keys: Keys) -> Floats:
    """Undo ``float_keys``."""
    bits = keys >> 1 & 0x7F800000 | (keys >> 23 & 1) << 31 | keys & 0x7FFFFF
    return bits.view(np.float32)


def ordered_differences(values: Floats, base: Floats) -> Keys:
    """Return how many float32 numbers lie from ``base`` to ``values``, modulo 2**32, zigzag.

    Floats in ascending order are numbered one after the other, so that close values are close
    numbers. Zigzag numbers 0, -1, 1, -2, 2 as 0, 1, 2, 3, 4.
    """
    steps = _ordered(values) - _ordered(base)
    return steps << 1 ^ -(steps >> 31)


def add_differences(differences: Keys, base: Floats) -> Floats:
    """Undo ``ordered_differences``."""
    steps = differences >> 1 ^ -(differences & 1)
    ordered = steps + _ordered(base)
    bits = ordered ^ (-(ordered >> 31) & 0x7FFFFFFF)
    return bits.view(np.float32)


def _ordered(values: Floats) -> Keys:
    bits = values.view(np.uint32)
    return bits ^ (-(bits >> 31) & 0x7FFFFFFF)
