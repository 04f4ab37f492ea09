"""Two symbols of few kinds in one byte, so that coding takes half the steps.

Of 256 symbols 15 neighbours are nearly all there are, such as the exponents of weights: each is
four bits, and the number 15 says that the symbol stands among the *escapes*.
"""

from typing import Any

import numpy as np

from flwr_gan.codecs import compiled
from flwr_gan.codecs.sparse.bits import Bytes

KINDS = 15
_ESCAPE = np.uint8(KINDS)
_MOST_ESCAPES = 1 / 256


def window(counts: np.ndarray[Any, np.dtype[np.int64]]) -> int | None:
    """Return the first of 15 neighbours that nearly all symbols are, or None.

    ``counts`` says how often each of the 256 symbols occurs in a sample.
    """
    sums = np.cumsum(np.concatenate([[0], counts, np.zeros(KINDS - 1, np.int64)]))
    inside = sums[KINDS:] - sums[:-KINDS]
    low = int(inside.argmax())
    few = sums[-1] - inside[low] <= _MOST_ESCAPES * sums[-1]
    return low if few else None


def paired(data: Bytes, low: int) -> tuple[Bytes, Bytes]:
    """Return pairs, shape (ceil(n / 2),), and escapes of symbols, shape (n,)."""
    loops = compiled.kernels()
    if loops is not None:
        pairs, escapes = np.empty((len(data) + 1) // 2, np.uint8), np.empty(len(data) + 1, np.uint8)
        return pairs, escapes[: loops.pair_up(data, low, pairs, escapes)].copy()
    kinds = np.minimum(data - np.uint8(low), _ESCAPE)
    pairs = kinds[0::2].copy()
    pairs[: len(data) // 2] |= kinds[1::2] << 4
    return pairs, data[kinds == _ESCAPE]


def unpaired(pairs: Bytes, low: int, escapes: Bytes, count: int) -> Bytes | None:
    """Undo ``paired`` for ``count`` symbols; None if there are not as many escapes as needed."""
    data = np.empty(count, np.uint8)
    loops = compiled.kernels()
    if loops is not None:
        used = loops.take_apart(pairs, low, np.append(escapes, np.uint8(0)), data)
        return data if used == len(escapes) else None
    data[0::2] = pairs & np.uint8(15)
    data[1::2] = pairs[: count // 2] >> 4
    escaped = np.flatnonzero(data == _ESCAPE)
    if len(escaped) != len(escapes):
        return None
    data += np.uint8(low)
    data[escaped] = escapes
    return data
