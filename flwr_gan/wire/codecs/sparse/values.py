"""Numbers in blocks: by bins, by pcodec, by magnitude bins, as bytes, or as bits of masks.

All codings work on blocks of at most ``BLOCK`` numbers, so that little memory is needed, and
several blocks can be coded side by side.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.pcodec_codec import compress_numbers, decompress_numbers, pcodec_module
from flwr_gan.wire.codecs.pieces import Pieces
from flwr_gan.wire.codecs.sparse.bins import FloatPlanes, read_bins, write_bins
from flwr_gan.wire.codecs.sparse.codes import read_codes, write_codes
from flwr_gan.wire.codecs.sparse.magnitudes import read_magnitudes, write_magnitudes
from flwr_gan.wire.codecs.sparse.streams import read_stream, write_stream
from flwr_gan.wire.codecs.threads import in_order
from flwr_gan.wire.codecs.varint import ByteReader, write_varint

BINS, PCODEC, MAGNITUDE_BINS, BYTES, MASKS = 0, 1, 2, 3, 4
"""Value codings; the first four on the wire (permanent)."""

CODING_NAMES = ("bins", "pcodec", "magnitude bins", "codes")

BLOCK = 1 << 20
_PCODEC_BLOCK = 1 << 17
_PCODEC_LEVEL = 8
_PCODEC_LEVEL_LONG = 10
_PCODEC_LONG = 1 << 15
_SAMPLE = 1 << 9
_FEW_PAIRS = 2


class Numbers(Protocol):
    """The numbers of a layer to code: an array, or an object that computes parts of one."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> Array: ...


Block = list[tuple[Numbers, int, int]]
"""Parts of layers, each with the index of its first number and of its end."""


class Computed:
    """``count`` numbers that are computed a part at a time, when they are coded.

    ``compute(first, last)`` returns the numbers from ``first`` to ``last - 1``.
    """

    def __init__(self, count: int, compute: Callable[[int, int], Array]) -> None:
        self._count = count
        self._compute = compute

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, part: slice, /) -> Array:
        first, last, _ = part.indices(self._count)
        return self._compute(first, last)


def write_values(layers: Sequence[Numbers], coding: int) -> Pieces:
    """Code the numbers of all layers, in order; each block but the last follows its length.

    All have one dtype: float32, uint32 or uint16 for bins, int32 or float32 for pcodec, uint32 for
    magnitude bins, int8 for bytes, uint8 for masks.
    """
    if coding == PCODEC:
        pcodec_module()
    left, space = sum(map(len, layers)), block_length(coding)
    coded = Pieces()

    def written(block: Block) -> Pieces:
        return _WRITERS[coding]([layer[first:last] for layer, first, last in block])

    for one in in_order(written, blocks_of(layers, space)):
        left -= space
        if left > 0:
            coded += write_varint(len(one))
        coded += one
    return coded


def block_length(coding: int) -> int:
    """Return the maximum length of a block; pcodec compresses short blocks better."""
    return _PCODEC_BLOCK if coding == PCODEC else BLOCK


def blocks_of(layers: Sequence[Numbers], most: int) -> Iterator[Block]:
    """Yield the parts of layers that make up each block."""
    block: Block = []
    space = most
    for layer in layers:
        at, length = 0, len(layer)
        while at < length:
            last = min(at + space, length)
            block.append((layer, at, last))
            space -= last - at
            at = last
            if not space:
                yield block
                block, space = [], most
    if block:
        yield block


def _write_pcodec(parts: list[Array]) -> Pieces:
    numbers = np.concatenate(parts)
    # With many numbers, finer bins are worth their longer table.
    level = _PCODEC_LEVEL if len(numbers) < _PCODEC_LONG else _PCODEC_LEVEL_LONG
    blob = compress_numbers(numbers, level=level, plain=is_continuous(numbers))
    return Pieces([write_varint(len(blob)), blob])


def is_continuous(numbers: Array) -> bool:
    """Return True if a sample shows neither repeated numbers nor unused low bits.

    Then there is no structure that pcodec's search, which takes most of its time, could find.
    """
    sample = numbers[:: max(1, len(numbers) // _SAMPLE)].view(np.uint32)
    low_bits = int(np.bitwise_or.reduce(sample)) & 255
    return bool(low_bits) and len(sample) - len(np.unique(sample)) < _FEW_PAIRS


def _read_pcodec(reader: ByteReader, count: int, dtype: np.dtype[Any]) -> Array:
    blob = bytes(reader.take(reader.varint(limit=reader.left)))
    try:
        pcodec_module()
    except CodecError as error:
        raise PayloadError(f"payload has values in pcodec: {error}") from error
    numbers = np.empty(count, dtype)
    decompress_numbers(blob, numbers)
    return numbers


_WRITERS: dict[int, Callable[[list[Array]], Pieces]] = {
    BINS: write_bins,
    PCODEC: _write_pcodec,
    MAGNITUDE_BINS: write_magnitudes,
    BYTES: write_codes,
    MASKS: partial(write_stream, are_masks=True),
}
_READERS: dict[int, Callable[[ByteReader, int, np.dtype[Any]], Array | FloatPlanes]] = {
    BINS: read_bins,
    PCODEC: _read_pcodec,
    MAGNITUDE_BINS: read_magnitudes,
    BYTES: read_codes,
    MASKS: lambda reader, count, dtype: read_stream(reader, count),
}


class ValueReader:
    """Reads the output of ``write_values``, any number of values at a time.

    The constructor reads all ``total`` values from ``reader``. Raises ``PayloadError`` if they are
    truncated.
    """

    def __init__(
        self, reader: ByteReader, *, coding: int, dtype: np.dtype[Any], total: int
    ) -> None:
        self._left = total
        self._dtype = dtype
        self._block: Array | FloatPlanes = np.empty(0, dtype)
        most = block_length(coding)
        starts = range(0, max(total - 1, 0) // most * most, most)
        slices = [reader.take(reader.varint(limit=reader.left)) for _ in starts]

        def decoded(data: ByteReader, start: int) -> Array | FloatPlanes:
            return _READERS[coding](data, min(most, total - start), dtype)

        def finished(job: tuple[memoryview, int]) -> Array | FloatPlanes:
            data = ByteReader(job[0], what="values")
            block = decoded(data, job[1])
            data.finish()
            return block

        self._blocks = in_order(finished, zip(slices, starts, strict=True))
        # The last block has no length: it ends where the data after it begins.
        self._last = decoded(reader, most * len(starts)) if total else self._block

    def read(self, count: int, out: Array | None = None) -> Array:
        """Return the next ``count`` values, or raise ``PayloadError`` if there are fewer.

        If they have to be copied, they are copied to ``out`` where it is given.
        """
        if count > self._left:
            raise PayloadError("the mask has more survivors than there are values")
        self._left -= count
        parts = []
        left = count
        while left:
            if not len(self._block):
                self._block = next(self._blocks, self._last)
            parts.append(self._block[:left])
            self._block = self._block[left:]
            left -= len(parts[-1])
        if len(parts) == 1 and isinstance(parts[0], np.ndarray):
            return parts[0]
        found = np.empty(count, self._dtype) if out is None else out
        at = 0
        for part in parts:
            place = found[at : at + len(part)]
            if isinstance(part, FloatPlanes):
                part.join(place)
            else:
                place[:] = part
            at += len(part)
        return found

    def finish(self) -> None:
        """Raise ``PayloadError`` if values are left."""
        if self._left:
            raise PayloadError("there are more values than the mask has survivors")
