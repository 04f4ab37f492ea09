"""Sums of weights and what is counted of them, compiled by numba.

Import it where ``flwr_gan.codecs.compiled`` has numba's loops.
"""

from typing import Any

import numpy as np
from numba import int64, njit, uint32

Array = np.ndarray[Any, np.dtype[Any]]


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
    """Return how many float32 values are not zero, and whether all are finite."""
    bits = values.view(np.uint32)
    nonzero, special = 0, 0
    for i in range(len(bits)):
        size = bits[i] & uint32(0x7FFFFFFF)
        nonzero += int64(size != uint32(0))
        special += int64(size >= uint32(0x7F800000))
    return nonzero, special == 0
