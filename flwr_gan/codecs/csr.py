"""Compressed sparse rows, plain: for comparison with what is published, without entropy coding.

An array has m rows (its first axis; one if it has fewer than two) and n columns (all other axes).
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from flwr_gan.codecs.arrays import Array, ArraySpec
from flwr_gan.codecs.base import BaseUse, Body, Codec, prepared, refuse_base
from flwr_gan.codecs.elements import BLOCK, Positions, element_bytes, scattered, taken_positions
from flwr_gan.codecs.varint import ByteReader, write_varint
from flwr_gan.errors import PayloadError


class CsrCodec(Codec):
    """How many elements of each row are not zero, their columns, their bytes. Lossless.

    Counts and columns take 1, 2 or 4 bytes each, the fewest that hold n and n - 1.
    """

    name: ClassVar[str] = "csr"
    wire_id: ClassVar[int] = 8
    spec = "csr"

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
        return Body(b"", b"".join(map(_written, prepared(arrays, strict=strict))))

    def decode_bundle(
        self, body: Body, specs: Sequence[ArraySpec], *, base: Sequence[Array] | None = None
    ) -> list[Array]:
        """Decode block by block into zeroed arrays."""
        if body.mask:
            raise PayloadError("csr payload has a mask, which csr never writes")
        reader = ByteReader(body.values, what="csr payload")
        arrays = [_read(reader, spec) for spec in specs]
        reader.finish()
        return arrays


def _table(shape: tuple[int, ...]) -> tuple[int, int]:
    return (shape[0], math.prod(shape[1:])) if len(shape) > 1 else (1, math.prod(shape))


def _width(largest: int) -> np.dtype[Any]:
    return np.dtype("<u1" if largest < 1 << 8 else "<u2" if largest < 1 << 16 else "<u4")


def _written(array: Array) -> bytes:
    lead = write_varint(array.size)
    if not array.size:
        return lead
    rows, columns = _table(array.shape)
    positions = taken_positions(array)
    counts = np.bincount(positions // columns, minlength=rows).astype(_width(columns))
    inside = (positions % columns).astype(_width(columns - 1))
    elements = element_bytes(array)[positions]
    return lead + counts.tobytes() + inside.tobytes() + elements.tobytes()


def _read(reader: ByteReader, spec: ArraySpec) -> Array:
    if reader.varint(limit=1 << 32) != spec.size:
        raise PayloadError(f"csr payload has no array of {spec.shape} where one should be")
    if not spec.size:
        return np.zeros(spec.shape, spec.dtype)
    rows, columns = _table(spec.shape)
    width = _width(columns)
    counts = np.frombuffer(reader.take(rows * width.itemsize), width)
    if counts.max() > columns:
        raise PayloadError(f"csr payload has {counts.max()} elements in a row of {columns}")
    ends = np.cumsum(counts, dtype=np.int64)
    width = _width(columns - 1)
    inside = np.frombuffer(reader.take(int(ends[-1]) * width.itemsize), width)
    return scattered(spec, _positions(ends, inside, columns), reader.take, "csr")


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
    from flwr_gan.codecs.registry import no_arguments

    no_arguments("csr", arguments)
    return CsrCodec()
