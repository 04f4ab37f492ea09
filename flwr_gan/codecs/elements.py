"""Elements of arrays of any dtype as rows of bytes: which are not zero, and putting them back."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from flwr_gan.codecs.arrays import Array, ArraySpec
from flwr_gan.errors import PayloadError

BLOCK = 1 << 17
"""Elements that are worked on at a time, so that a decoder's memory stays near the arrays'."""

Positions = np.ndarray[Any, np.dtype[np.int64]]


def element_bytes(array: Array) -> Array:
    """Return the bytes of a C-contiguous array, one row an element."""
    rows: Array = array.reshape(-1).view(np.uint8).reshape(-1, array.dtype.itemsize)
    return rows


def taken_positions(array: Array) -> Positions:
    """Return where in the flat array elements have a byte that is not zero."""
    return np.flatnonzero(element_bytes(array).any(axis=1))


def scattered(
    spec: ArraySpec, blocks: Iterator[Positions], take: Callable[[int], memoryview], name: str
) -> Array:
    """Return an array of zeros with elements at positions that come in blocks.

    Parameters
    ----------
    spec : ArraySpec
        Of the array.
    blocks : iterator of numpy.ndarray of int64
        Positions, which must be inside the array.
    take : callable
        Gives the next so many bytes of the elements.
    name : str
        Name of the codec for error messages.

    Raises
    ------
    PayloadError
        If an element is zero, which no encoder writes.
    """
    array = np.zeros(spec.shape, spec.dtype)
    rows = element_bytes(array)
    for positions in blocks:
        data = np.frombuffer(take(len(positions) * spec.dtype.itemsize), np.uint8)
        elements = data.reshape(-1, spec.dtype.itemsize)
        if not elements.any(axis=1).all():
            raise PayloadError(f"{name} payload lists an element that is zero")
        rows[positions] = elements
    return array
