"""Codecs that list the elements of arrays of any dtype that are not zero: csr and rle.

An element is a row of bytes; it is zero if all of them are.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs.arrays import Array, ArraySpec
from flwr_gan.wire.codecs.base import BaseUse, Body, Codec, prepared, refuse_base, refuse_mask
from flwr_gan.wire.codecs.varint import ByteReader, write_varint

BLOCK = 1 << 17
"""Elements that are worked on at a time, so that a decoder's memory stays near the arrays'."""

Positions = np.ndarray[Any, np.dtype[np.int64]]


class ElementCodec(Codec):
    """Of each array its size, the places of what is not zero, and these elements. Lossless."""

    @abstractmethod
    def write_places(self, positions: Positions, shape: tuple[int, ...]) -> bytes:
        """Return where in an array of this shape elements are not zero, ascending."""

    @abstractmethod
    def read_places(self, reader: ByteReader, shape: tuple[int, ...]) -> Iterator[Positions]:
        """Read what ``write_places`` wrote; return the positions, block by block.

        Raises
        ------
        PayloadError
            If they are not ascending, or not inside the array.
        """

    def encode_bundle(
        self,
        arrays: Sequence[Array],
        *,
        strict: bool = False,
        base: Sequence[Array] | None = None,
        base_use: BaseUse = "auto",
    ) -> Body:
        """Code array after array; the base is of no use here."""
        refuse_base(base_use, self.spec)
        return Body(b"", b"".join(map(self._written, prepared(arrays, strict=strict))))

    def decode_bundle(
        self, body: Body, specs: Sequence[ArraySpec], *, base: Sequence[Array] | None = None
    ) -> list[Array]:
        """Decode block by block into zeroed arrays."""
        refuse_mask(body, self.name)
        reader = ByteReader(body.values, what=f"{self.name} payload")
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
    """Return the bytes of a C-contiguous array, one row an element."""
    rows: Array = array.reshape(-1).view(np.uint8).reshape(-1, array.dtype.itemsize)
    return rows
