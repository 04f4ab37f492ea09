"""Random numbers that are equal on every machine and with every version of numpy."""

import zlib

import numpy as np

from flwr_gan.wire.codecs.arrays import Array

_STEP, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_ALL = (1 << 64) - 1


def drawn(count: int, seed: int) -> Array:
    """Return uniform whole numbers, uint64, shape (count,).

    SplitMix64 of Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014: it
    uses only whole numbers, and each number is computed independently.
    """
    start = np.uint64((seed * _FIRST + _STEP) & _ALL)
    numbers: Array = np.arange(count, dtype=np.uint64)
    numbers *= np.uint64(_STEP)
    numbers += start
    for shift, factor in ((30, _FIRST), (27, _SECOND)):
        numbers ^= numbers >> np.uint64(shift)
        numbers *= np.uint64(factor)
    numbers ^= numbers >> np.uint64(31)
    return numbers


def content_seed(array: Array) -> int:
    """Return a 32-bit seed computed from the bytes of an array, so that it need not be sent."""
    return zlib.crc32(np.ascontiguousarray(array).view(np.uint8).data)
