"""Arrays that are not float32: their bytes by significance, each plane a stream."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from flwr_gan.codecs.arrays import Array, ArraySpec
from flwr_gan.codecs.sparse.streams import open_stream, write_stream
from flwr_gan.codecs.varint import ByteReader

_BLOCK = 1 << 17


def write_planes(arrays: Sequence[Array]) -> bytes:
    """Code arrays of any dtype: those of one element size together, small sizes first."""
    coded = b""
    for itemsize in sorted({array.dtype.itemsize for array in arrays}):
        members = [array.tobytes() for array in arrays if array.dtype.itemsize == itemsize]
        rows = np.frombuffer(b"".join(members), np.uint8).reshape(-1, itemsize)
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            for plane in range(itemsize):
                coded += write_stream([np.ascontiguousarray(block[:, plane])])
    return coded


def read_planes(reader: ByteReader, specs: Sequence[ArraySpec]) -> list[Array]:
    """Read back what ``write_planes`` wrote; arrays of one element size share a buffer."""
    arrays: dict[int, Array] = {}
    for itemsize in sorted({spec.dtype.itemsize for spec in specs}):
        members = [at for at, spec in enumerate(specs) if spec.dtype.itemsize == itemsize]
        total = sum(specs[at].size for at in members)
        rows: np.ndarray[Any, np.dtype[np.uint8]] = np.empty((total, itemsize), np.uint8)
        for start in range(0, total, _BLOCK):
            block = rows[start : start + _BLOCK]
            for plane in range(itemsize):
                stream = open_stream(reader)
                block[:, plane] = np.frombuffer(stream.read(len(block)), np.uint8)
                stream.finish()
        row = 0
        for at in members:
            spec = specs[at]
            flat = rows[row : row + spec.size].reshape(-1)
            arrays[at] = flat.view(spec.dtype).reshape(spec.shape)
            row += spec.size
    return [arrays[at] for at in range(len(specs))]
