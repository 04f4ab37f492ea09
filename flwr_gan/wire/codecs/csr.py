"""Compressed sparse rows, plain: for comparison with what is published, without entropy coding.

An array has m rows (its first axis; one if it has fewer than two) and n columns (all other axes).
"""

import math
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.elements import BLOCK, ElementCodec, Positions
from flwr_gan.wire.codecs.varint import ByteReader


class CsrCodec(ElementCodec):
    """How many elements of each row are not zero, their columns, their bytes. Lossless.

    Counts and columns take 1, 2 or 4 bytes each, the fewest that hold n and n - 1.
    """

    name: ClassVar[str] = "csr"
    wire_id: ClassVar[int] = 8
    spec = "csr"

    def write_places(self, positions: Positions, shape: tuple[int, ...]) -> bytes:
        """Return the counts of all rows, then the columns; nothing for an empty array."""
        rows, columns = _table(shape)
        if not rows * columns:
            return b""
        counts = np.bincount(positions // columns, minlength=rows).astype(_width(columns))
        return counts.tobytes() + (positions % columns).astype(_width(columns - 1)).tobytes()

    def read_places(self, reader: ByteReader, shape: tuple[int, ...]) -> Iterator[Positions]:
        """Read the counts and the columns; return the positions."""
        rows, columns = _table(shape)
        if not rows * columns:
            return iter(())
        width = _width(columns)
        counts = np.frombuffer(reader.take(rows * width.itemsize), width)
        if counts.max() > columns:
            raise PayloadError(f"csr payload has {counts.max()} elements in a row of {columns}")
        ends = np.cumsum(counts, dtype=np.int64)
        width = _width(columns - 1)
        inside = np.frombuffer(reader.take(int(ends[-1]) * width.itemsize), width)
        return _positions(ends, inside, columns)


def _table(shape: tuple[int, ...]) -> tuple[int, int]:
    return (shape[0], math.prod(shape[1:])) if len(shape) > 1 else (1, math.prod(shape))


def _width(largest: int) -> np.dtype[Any]:
    return np.dtype("<u1" if largest < 1 << 8 else "<u2" if largest < 1 << 16 else "<u4")


def _positions(ends: Positions, inside: Array, columns: int) -> Iterator[Positions]:
    last = -1
    for start in range(0, len(inside), BLOCK):
        columns_here = inside[start : start + BLOCK].astype(np.int64)
        places = np.arange(start, start + len(columns_here))
        found = np.searchsorted(ends, places, side="right") * columns + columns_here
        if columns_here.max() >= columns or found[0] <= last or (np.diff(found) <= 0).any():
            raise PayloadError("csr payload has columns out of order, or behind the end of a row")
        last = int(found[-1])
        yield found


def from_spec(arguments: tuple[str, ...]) -> CsrCodec:
    """Build the codec ``csr``, which takes no settings."""
    from flwr_gan.wire.codecs.registry import no_arguments

    no_arguments("csr", arguments)
    return CsrCodec()
