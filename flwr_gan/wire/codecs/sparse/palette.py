"""A palette: the distinct keys of a block once, and of each key its place among them.

Weights on a grid, as of networks that were trained with 8 bits or with three values, take few
values. Finding that out is cheap: where a small sample has next to no value twice, a block has too
many for a palette to pay.

D distinct keys.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs.pieces import Pieces
from flwr_gan.wire.codecs.sparse.magnitudes import read_magnitudes, write_magnitudes
from flwr_gan.wire.codecs.sparse.streams import every
from flwr_gan.wire.codecs.varint import ByteReader, write_varint

Keys = np.ndarray[Any, np.dtype[Any]]

MOST_BYTES = 256
"""Up to so many keys, their places are bytes; beyond that, keys of 16 bits."""

_SAMPLE = 512
_LEAST_PAIRS = 2
_MANY = 1 << 16
_MANY_PAIRS, _SHORT_PAIRS = 16, 128
"""Of so many keys all are sorted only if a palette is likely; of short floats, whose low bits are
zero and cost nothing in bins, only if it is all but certain."""

_LEAST_USES = 2


def distinct_keys(parts: Sequence[Keys]) -> Keys | None:
    """Return the distinct keys of a block, ascending; None if too many for a palette to pay."""
    count = sum(map(len, parts))
    sample = np.sort(every(parts, max(1, count // _SAMPLE)))
    least = _LEAST_PAIRS
    if count >= _MANY:
        least = _MANY_PAIRS if np.bitwise_or.reduce(sample) & 255 else _SHORT_PAIRS
    if np.count_nonzero(sample[1:] == sample[:-1]) < least:
        return None
    ordered = np.sort(np.concatenate(parts))
    first = np.empty(len(ordered), bool)
    first[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    palette = ordered[first]
    few = _LEAST_USES * len(palette) <= count and len(palette) <= 1 << 16
    return palette if few else None


def write_palette(palette: Keys) -> Pieces:
    """Code D - 1, the first key, and how far each of the others lies behind the one before it."""
    first = int(palette[0])
    coded = Pieces([write_varint(len(palette) - 1), write_varint(first)])
    if len(palette) > 1:
        coded += write_magnitudes([(palette[1:] - palette[:-1] - 1).astype(np.uint32)])
    return coded


def read_palette(reader: ByteReader, count: int, dtype: np.dtype[Any]) -> Keys:
    """Read the palette of a block of ``count`` keys, or raise ``PayloadError``."""
    size = reader.varint(limit=min(count, 1 << 16) - 1) + 1
    highest = (1 << 8 * dtype.itemsize) - 1
    keys = np.empty(size, np.int64)
    keys[0] = reader.varint(limit=highest)
    if size > 1:
        steps = read_magnitudes(reader, size - 1, np.dtype("<u4"))
        np.cumsum(steps.astype(np.int64) + 1, out=keys[1:])
        keys[1:] += keys[0]
    if keys[-1] > highest:
        raise PayloadError("a palette has a key that is too large")
    return keys.astype(dtype)
