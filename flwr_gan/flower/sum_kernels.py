"""Sums and counts of weights, compiled by numba.

Import it only where ``flwr_gan.wire.codecs.compiled`` has numba's loops.
"""

from typing import Any

import numpy as np
from numba import njit, uint32

Array = np.ndarray[Any, np.dtype[Any]]

_BLOCK = 1 << 13
_INFINITE = np.uint32(0xFF000000)
"""Bits of infinity without the sign, shifted left by one."""


@njit(nogil=True, cache=True)
def weigh(values: Array, share: float, first: bool, total: Array) -> None:
    """Add float32 ``values * share``, rounded once, to float32 ``total``, or write it if first."""
    if first:
        for i in range(len(values)):
            total[i] = np.float32(values[i] * share)
    else:
        for i in range(len(values)):
            total[i] += np.float32(values[i] * share)


@njit(nogil=True, cache=True)
def counted(values: Array) -> tuple[int, bool]:
    """Return the number of nonzero float32 values, and whether all are finite."""
    bits = values.view(np.uint32)
    nonzero, largest = 0, uint32(0)
    for start in range(0, len(bits), _BLOCK):
        some, found = bits[start : start + _BLOCK], uint32(0)
        # numba widens sums of 32 bits to 64 bits, which halves the length of a vector.
        for i in range(len(some)):
            size = uint32(some[i] << uint32(1))
            found = uint32(found + uint32(size != uint32(0)))
            largest = uint32(max(largest, size))
        nonzero += int(found)
    return nonzero, bool(largest < _INFINITE)
