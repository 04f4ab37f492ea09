"""Codecs that list the nonzero elements of arrays of any dtype: csr, csc and rle.

All are plain, for comparison with published results: no entropy coding follows. An element is a
row of bytes; it is zero if all of its bytes are.
"""

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs.arrays import Array, ArraySpec
from flwr_gan.wire.codecs.base import BytesCodec
from flwr_gan.wire.codecs.places import Positions
from flwr_gan.wire.codecs.varint import ByteReader, write_varint

BLOCK = 1 << 17
"""Elements per block, so that a decoder's memory stays near the size of the arrays."""

_LONGEST_RUN = 255


class ElementCodec(BytesCodec):
    """The number of nonzero elements of each array, their places and values. Lossless."""

    @abstractmethod
    def write_places(self, positions: Positions, shape: tuple[int, ...]) -> bytes:
        """Return the coded positions of nonzero elements, given in ascending order."""

    @abstractmethod
    def read_places(self, reader: ByteReader, shape: tuple[int, ...]) -> Iterator[Positions]:
        """Read what ``write_places`` wrote; yield the positions, block by block.

        Raises ``PayloadError`` if they are not ascending, or not inside the array.
        """

    def write(self, arrays: Sequence[Array]) -> bytes:
        """Code array after array."""
        return b"".join(map(self._written, arrays))

    def read(self, values: bytes | memoryview, specs: Sequence[ArraySpec]) -> list[Array]:
        """Decode block by block into zeroed arrays."""
        reader = ByteReader(values, what=f"{self.name} payload")
        arrays = [self._read(reader, spec) for spec in specs]
        reader.finish()
        return arrays

    def _written(self, array: Array) -> bytes:
        rows = _element_bytes(array)
        positions = np.flatnonzero(rows.any(axis=1))
        places = self.write_places(positions, array.shape)
        return write_varint(array.size) + places + rows[positions].tobytes()

    def _read(self, reader: ByteReader, spec: ArraySpec) -> Array:
        if reader.varint(limit=1 << 32) != spec.size:
            raise PayloadError(
                f"{self.name} payload has no array of {spec.shape} where one should be"
            )
        array = np.zeros(spec.shape, spec.dtype)
        rows = _element_bytes(array)
        for positions in self.read_places(reader, spec.shape):
            data = np.frombuffer(reader.take(len(positions) * spec.dtype.itemsize), np.uint8)
            elements = data.reshape(-1, spec.dtype.itemsize)
            if not elements.any(axis=1).all():
                raise PayloadError(f"{self.name} payload lists an element that is zero")
            rows[positions] = elements
        return array


def _element_bytes(array: Array) -> Array:
    """Return the bytes of a C-contiguous array, one row per element."""
    rows: Array = array.reshape(-1).view(np.uint8).reshape(-1, array.dtype.itemsize)
    return rows


class CsrCodec(ElementCodec):
    """Compressed sparse rows: the nonzero count of each row, their columns, their bytes.

    Lossless. An array has m rows (its first axis; one if it has fewer than two) and n columns (all
    other axes). Counts and columns take 1, 2 or 4 bytes each, the fewest that hold n and n - 1.
    """

    name = "csr"
    wire_id = 8
    spec = "csr"

    def write_places(self, positions: Positions, shape: tuple[int, ...]) -> bytes:
        """Return the counts of all rows, then the columns; nothing for an empty array."""
        rows, columns = _table(shape)
        if not rows * columns:
            return b""
        counts = np.bincount(positions // columns, minlength=rows).astype(_width(columns))
        return counts.tobytes() + (positions % columns).astype(_width(columns - 1)).tobytes()

    def read_places(self, reader: ByteReader, shape: tuple[int, ...]) -> Iterator[Positions]:
        """Read the counts and the columns; yield the positions."""
        rows, columns = _table(shape)
        if not rows * columns:
            return
        width = _width(columns)
        counts = np.frombuffer(reader.take(rows * width.itemsize), width)
        if counts.max() > columns:
            raise PayloadError(
                f"{self.name} payload has {counts.max()} elements in a row of {columns}"
            )
        ends = np.cumsum(counts, dtype=np.int64)
        width = _width(columns - 1)
        inside = np.frombuffer(reader.take(int(ends[-1]) * width.itemsize), width)
        last = -1
        for start in range(0, len(inside), BLOCK):
            columns_here = inside[start : start + BLOCK].astype(np.int64)
            places = np.arange(start, start + len(columns_here))
            found = np.searchsorted(ends, places, side="right") * columns + columns_here
            if columns_here.max() >= columns or found[0] <= last or (np.diff(found) <= 0).any():
                raise PayloadError(
                    "csr or csc payload has columns out of order, or behind the end of a row"
                )
            last = int(found[-1])
            yield found


def _table(shape: tuple[int, ...]) -> tuple[int, int]:
    return (shape[0], math.prod(shape[1:])) if len(shape) > 1 else (1, math.prod(shape))


def _width(largest: int) -> np.dtype[Any]:
    return np.dtype("<u1" if largest < 1 << 8 else "<u2" if largest < 1 << 16 else "<u4")


class CscCodec(CsrCodec):
    """Compressed sparse columns: csr of each array's rows and columns exchanged. Lossless."""

    name = "csc"
    wire_id = 10
    spec = "csc"

    def write(self, arrays: Sequence[Array]) -> bytes:
        """Code array after array, column by column."""
        tables = [array.reshape(_table(array.shape)) for array in arrays]
        return super().write([np.ascontiguousarray(table.T) for table in tables])

    def read(self, values: bytes | memoryview, specs: Sequence[ArraySpec]) -> list[Array]:
        """Decode the columns as rows, then exchange them."""
        turned = [ArraySpec(_table(spec.shape)[::-1], spec.dtype) for spec in specs]
        arrays = super().read(values, turned)
        return [
            np.ascontiguousarray(array.T).reshape(spec.shape)
            for array, spec in zip(arrays, specs, strict=True)
        ]


class RleCodec(ElementCodec):
    """Run lengths: the zeros before each nonzero element, and these elements. Lossless.

    A run takes one byte: 0 to 254 zeros followed by an element, or 255 zeros without one.
    Zeros at the end of an array are not written.
    """

    name = "rle"
    wire_id = 9
    spec = "rle"

    def write_places(self, positions: Positions, shape: tuple[int, ...]) -> bytes:
        """Return the number of runs, and the runs."""
        gaps = np.diff(positions, prepend=-1) - 1
        full, rest = np.divmod(gaps, _LONGEST_RUN)
        runs = np.full(int(full.sum()) + len(gaps), _LONGEST_RUN, np.uint8)
        runs[np.cumsum(full + 1) - 1] = rest
        return write_varint(len(runs)) + runs.tobytes()

    def read_places(self, reader: ByteReader, shape: tuple[int, ...]) -> Iterator[Positions]:
        """Read the runs; yield the positions."""
        size = math.prod(shape)
        runs = np.frombuffer(reader.take(reader.varint(limit=size)), np.uint8)
        if len(runs) and runs[-1] == _LONGEST_RUN:
            raise PayloadError("rle payload has a run without an element at the end of an array")
        before = 0
        for start in range(0, len(runs), BLOCK):
            block = runs[start : start + BLOCK]
            ends = before + np.cumsum(np.minimum(block.astype(np.int64) + 1, _LONGEST_RUN))
            before = int(ends[-1])
            if before > size:
                raise PayloadError("rle payload has runs behind the end of an array")
            # A run of 254 and its element take as many places as a run of 255 without one.
            yield ends[block < _LONGEST_RUN] - 1
