"""The loops of top-k, compiled by numba. Import it where ``flwr_gan.codecs.compiled`` has numba's.

They give the same as ``flwr_gan.compress.update_stage`` in numpy, in two passes over the weights.
"""

from typing import Any

import numpy as np
from numba import njit, uint32

Array = np.ndarray[Any, np.dtype[Any]]

BIN_BITS = 15
"""Bits of a magnitude below those that name its bin."""

_MAGNITUDE = np.uint32(0x7FFFFFFF)
_BIN_BITS = np.uint32(BIN_BITS)


@njit(nogil=True, cache=True)
def magnitudes_of(
    layer: Array, near: Array, change: Array, magnitudes: Array, counts: Array
) -> None:
    """Write the bits of each candidate's change without their sign, 0 for all other weights.

    ``layer``, ``near`` and ``change`` float32 (n,), the last one to work with, and ``magnitudes``
    (n,) its bits as uint32; ``counts`` int64 (2**16,): how many are in each bin is added.
    """
    for i in range(len(layer)):
        may = layer[i] != 0 and near[i] != 0
        change[i] = layer[i] - near[i] if may else np.float32(0)
    for i in range(len(layer)):
        bits = magnitudes[i] & _MAGNITUDE
        magnitudes[i] = bits
        counts[bits >> _BIN_BITS] += 1


@njit(nogil=True, cache=True)
def put_larger(
    layer: Array, near: Array, magnitudes: Array, threshold: int, ties: int, out: Array
) -> int:
    """Write what is held where a candidate's change is smaller than ``threshold``.

    Of those that are equal to it the first ``ties`` count as larger. All other weights are those of
    ``layer``. Returns how many ties are left.
    """
    limit = uint32(threshold)
    for i in range(len(layer)):
        larger = magnitudes[i] > limit
        if magnitudes[i] == limit and ties > 0:
            larger = True
            ties -= 1
        stays = not larger and layer[i] != 0 and near[i] != 0
        out[i] = near[i] if stays else layer[i] + np.float32(0)
    return ties
