"""Error feedback weight by weight, compiled by numba.

Import it where ``flwr_gan.wire.codecs.compiled`` has numba's loops. What is read may be read-only;
no array may overlap another.
"""

from typing import Any

import numpy as np
from numba import njit

from flwr_gan.wire.codecs.kernels import NoAlias

Array = np.ndarray[Any, np.dtype[Any]]

_LARGEST = np.finfo(np.float32).max
_NOTHING = np.float32(0)


@njit(nogil=True, cache=True, pipeline_class=NoAlias)
def add_residual(before: Array, left: Array, lowest: float, after: Array) -> None:
    """Write ``before + left``, or ``before`` where that is 0, not finite or below ``lowest``.

    All float32; zeros of ``before`` stay.
    """
    least = np.float32(lowest)
    for i in range(len(before)):
        one = before[i]
        moved = one + left[i]
        good = (one != 0) & (moved != 0) & (abs(moved) <= _LARGEST) & (moved >= least)
        after[i] = moved if good else one


@njit(nogil=True, cache=True, pipeline_class=NoAlias)
def left_over(wanted: Array, got: Array, near: Array, left: Array, squares: Array) -> None:
    """Write ``wanted - got``, 0 where ``wanted`` is, to ``left``; all float32.

    ``near`` is empty, or what ``wanted`` is a change of. To the rows of ``squares``, float64 of
    shape (2, L), add the squares of what is lost and of the change, in turn to the L columns. What
    is not finite is 0.
    """
    lanes = squares.shape[1]
    nothing = np.zeros(lanes, np.float32)
    lost, changed = squares[0], squares[1]
    for start in range(0, len(wanted), lanes):
        aim, found = wanted[start : start + lanes], got[start : start + lanes]
        held = near[start : start + lanes] if len(near) else nothing
        rest = left[start : start + lanes]
        for i in range(len(aim)):
            error, change = aim[i] - found[i], aim[i] - held[i]
            error = error if abs(error) <= _LARGEST else _NOTHING
            change = change if abs(change) <= _LARGEST else _NOTHING
            rest[i] = error if aim[i] != 0 else _NOTHING
            lost[i] += np.float64(error) * np.float64(error)
            changed[i] += np.float64(change) * np.float64(change)
