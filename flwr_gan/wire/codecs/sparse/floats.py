"""Bits of float32 weights, rearranged so that similar bits are together."""

from collections.abc import Sequence

import numpy as np

from flwr_gan.wire.codecs.arrays import Array

_EXPONENT = np.uint32(0x7F800000)
_MANTISSA = np.uint32(0x007FFFFF)
_MAGNITUDE = np.uint32(0x7FFFFFFF)


def float_keys(values: Array) -> Array:
    """Return the bits of float32 values as exponent (8), sign (1), mantissa (23)."""
    bits: Array = values.view(np.uint32)
    return (bits & _EXPONENT) << 1 | bits >> 31 << 23 | bits & _MANTISSA


def float_values(keys: Array) -> Array:
    """Undo ``float_keys``."""
    bits = keys >> 1 & _EXPONENT | keys >> 23 << 31 | keys & _MANTISSA
    return bits.view(np.float32)


def unused_bits(layers: Sequence[Array]) -> int:
    """Return how many low bits, 0 to 31, are zero in all values, as for shorter floats."""
    used = 0
    for values in layers:
        if used & 1:
            break
        used |= int(np.bitwise_or.reduce(values.view(np.uint32))) if len(values) else 0
    return (used & -used).bit_length() - 1 if used else 0


def ordered_differences(values: Array, base: Array, *, shift: int = 0) -> Array:
    """Return the distance from ``base`` to ``values`` in float32 steps, modulo 2**32, zigzag.

    Floats are numbered in ascending order, so that close values have close numbers. Zigzag maps
    0, -1, 1, -2, 2 to 0, 1, 2, 3, 4. Where the ``shift`` low bits of all floats are zero, only
    floats of that kind are counted.
    """
    return zigzag(_numbered(values, shift) - _numbered(base, shift))


def add_differences(differences: Array, base: Array, *, shift: int = 0) -> Array:
    """Undo ``ordered_differences``."""
    ordered = unzigzag(differences)
    ordered += _numbered(base, shift)
    if shift:
        ordered <<= np.uint32(shift)
        # The low bits of a negative float after its bits are flipped.
        ordered |= (ordered >> 31) * np.uint32((1 << shift) - 1)
    return _ordered(ordered.view(np.float32)).view(np.float32)


def _numbered(values: Array, shift: int) -> Array:
    ordered = _ordered(values)
    if not shift:
        return ordered
    # Signed, so that the numbers of negative floats stay negative.
    shifted: Array = (ordered.view(np.int32) >> shift).view(np.uint32)
    return shifted


def zigzag(steps: Array) -> Array:
    """Map two's complement numbers 0, -1, 1, -2, 2 to 0, 1, 2, 3, 4."""
    signs: Array = np.negative(steps >> 31)
    return steps << 1 ^ signs


def unzigzag(numbers: Array) -> Array:
    """Undo ``zigzag``."""
    signs: Array = numbers & 1
    np.negative(signs, out=signs)
    signs ^= numbers >> 1
    return signs


def _ordered(values: Array) -> Array:
    bits = values.view(np.uint32)
    # Negative floats ascend as their bits descend. This is its own inverse.
    turned: Array = bits >> 31
    np.negative(turned, out=turned)
    turned &= _MAGNITUDE
    turned ^= bits
    return turned
