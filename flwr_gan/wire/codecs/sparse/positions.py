"""Sets of positions inside ranges of known length, such as the surviving weights of each layer.

Another use is the set of survivors that differ from a base: only their numbers are sent, the others
stay as they are.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.pieces import Pieces
from flwr_gan.wire.codecs.sparse.bits import Bytes
from flwr_gan.wire.codecs.sparse.streams import byte_counts
from flwr_gan.wire.codecs.sparse.support import BLOCK, Block, Mask, Support, joined
from flwr_gan.wire.codecs.sparse.tables import entropy_bits
from flwr_gan.wire.codecs.sparse.values import (
    MAGNITUDE_BINS,
    MASKS,
    ValueReader,
    write_values,
)
from flwr_gan.wire.codecs.varint import ByteReader, write_varint

NONE, ALL, GAPS, BITMAP = 0, 1, 2, 3
"""Forms of a set, two bits each on the wire (permanent)."""

FORM_NAMES = ("none", "all", "gaps", "bitmap")

_BITMAP_DENSITY = 1 / 24
"""Below this, gaps are always the form."""

_MANY = 1 << 16
"""From this many positions on, a bitmap is faster than gaps and hardly longer."""


STRETCH = 1 << 20
"""Survivors per position set, counted over all layers."""


def write_positions(supports: Sequence[Support]) -> Pieces:
    """Code which positions are taken, one support per layer.

    Order: the forms, the sizes of the sets coded as gaps, the bitmaps, the gaps.
    """
    forms: list[int] = []
    sizes = b""
    gaps: list[Array] = []
    bitmaps: list[Bytes] = []
    for support in supports:
        form, coded = _best_form(support)
        forms.append(form)
        if form == GAPS:
            sizes += write_varint(len(coded))
            gaps.append(coded)
        elif form == BITMAP:
            bitmaps.append(coded)
    head = Pieces([_pack_forms(forms), sizes])
    return Pieces([head, write_values(bitmaps, MASKS), write_values(gaps, MAGNITUDE_BINS)])


def _pack_forms(forms: Sequence[int]) -> bytes:
    packed = bytearray(-(-len(forms) // 4))
    for at, form in enumerate(forms):
        packed[at >> 2] |= form << 2 * (at & 3)
    return bytes(packed)


def _best_form(support: Support) -> tuple[int, Array]:
    nothing = np.empty(0, np.uint8)
    if not support.count:
        return NONE, nothing
    if support.bits is None:
        return ALL, nothing
    dense = support.count >= _BITMAP_DENSITY * support.length
    if dense and support.count >= _MANY:
        return BITMAP, support.bits
    positions = support.positions
    gaps = np.empty(support.count, np.uint32)
    gaps[0] = positions[0]
    np.subtract(positions[1:], positions[:-1] + 1, out=gaps[1:], casting="unsafe")
    if not dense:
        return GAPS, gaps
    gap_bits = entropy_bits(byte_counts(np.minimum(gaps, 255).astype(np.uint8)))
    shorter = gap_bits <= entropy_bits(byte_counts(support.bits))
    return (GAPS, gaps) if shorter else (BITMAP, support.bits)


def read_forms(reader: ByteReader, layers: int) -> list[int]:
    """Return the form of each layer's set."""
    packed = reader.take(-(-layers // 4))
    forms = [packed[at >> 2] >> 2 * (at & 3) & 3 for at in range(layers)]
    if _pack_forms(forms) != packed:
        raise PayloadError("mask has forms for more layers than there are")
    return forms


class PositionReader:
    """Reads the output of ``write_positions``, layer by layer, in blocks of bounded size.

    All coded sets are read by the constructor; ``lengths`` are the layers' lengths.
    """

    def __init__(self, reader: ByteReader, lengths: Sequence[int]) -> None:
        self.forms = read_forms(reader, len(lengths))
        self._lengths = list(lengths)
        self._sizes = [
            reader.varint(limit=length) if form == GAPS else 0
            for form, length in zip(self.forms, lengths, strict=True)
        ]
        octets = [
            (length + 7) // 8 if form == BITMAP else 0
            for form, length in zip(self.forms, lengths, strict=True)
        ]
        byte, number = np.dtype(np.uint8), np.dtype("<u4")
        self._bitmaps = ValueReader(reader, coding=MASKS, dtype=byte, total=sum(octets))
        total = sum(self._sizes)
        self._gaps = ValueReader(reader, coding=MAGNITUDE_BINS, dtype=number, total=total)

    def blocks(self, layer: int) -> Iterator[Block]:
        """Yield the positions of a layer in ascending order; layers must be taken in order."""
        length = self._lengths[layer]
        if self.forms[layer] == ALL:
            for start in range(0, length, BLOCK):
                stop = min(start + BLOCK, length)
                yield Block(start, stop, stop - start)
        elif self.forms[layer] == GAPS:
            yield from self._gap_blocks(length, self._sizes[layer])
        elif self.forms[layer] == BITMAP:
            for start in range(0, length, BLOCK):
                yield self._bitmap_block(start, min(start + BLOCK, length))

    def finish(self) -> None:
        """Raise ``PayloadError`` if sets are left after the last layer."""
        self._gaps.finish()
        self._bitmaps.finish()

    def _gap_blocks(self, length: int, left: int) -> Iterator[Block]:
        last = -1
        while left:
            gaps = self._gaps.read(min(left, BLOCK))
            found = np.cumsum(gaps, dtype=np.int64)
            found += np.arange(last + 1, last + 1 + len(gaps))
            last = int(found[-1])
            if last >= length:
                raise PayloadError(f"mask has a position {last} in a layer of {length} weights")
            left -= len(found)
            yield Block.of_positions(found)

    def _bitmap_block(self, start: int, stop: int) -> Block:
        bits = self._bitmaps.read((stop - start + 7) // 8)
        if stop % 8 and bits[-1] >> stop % 8:
            raise PayloadError("mask has bits behind the end of a layer")
        return Block.of_support(start, Support.of_bits(stop - start, bits))


def write_changes(changed: Sequence[Support]) -> Pieces:
    """Code which survivors changed; each layer's support has one place per survivor.

    Order: the number of changed ones; if not 0, the length of the position sets and the sets.
    """
    every = joined(changed)
    if not every.count:
        return Pieces([write_varint(0)])
    starts = range(0, every.length, STRETCH)
    coded = write_positions([every.part(start, start + STRETCH) for start in starts])
    return Pieces([write_varint(every.count), write_varint(len(coded)), coded])


class ChangeReader:
    """Reads the output of ``write_changes`` for ``total`` survivors."""

    def __init__(self, reader: ByteReader, *, total: int) -> None:
        self.count = reader.varint(limit=total)
        self._left = self.count
        self._lengths = [min(STRETCH, total - at) for at in range(0, total, STRETCH)]
        self._stretch = 0
        self._pending: Mask = np.zeros(0, bool)
        self._sets: PositionReader | None = None
        if self.count:
            coded = bytes(reader.take(reader.varint(limit=reader.left)))
            self._reader = ByteReader(coded, what="positions of changes")
            self._sets = PositionReader(self._reader, self._lengths)

    def take(self, count: int) -> Mask:
        """Return which of the next ``count`` survivors changed, or raise ``PayloadError``."""
        if self._sets is None:
            return np.zeros(count, bool)
        parts = []
        while count > len(self._pending):
            parts.append(self._pending)
            count -= len(self._pending)
            self._pending = self._next(self._sets)
        parts.append(self._pending[:count])
        self._pending = self._pending[count:]
        changed = np.concatenate(parts)
        self._left -= int(np.count_nonzero(changed))
        return changed

    def finish(self) -> None:
        """Raise ``PayloadError`` unless the number of changed survivors is as announced."""
        if self._left:
            raise PayloadError("there are more changes than survivors that changed")
        if self._sets is not None:
            self._sets.finish()
            self._reader.finish()

    def _next(self, sets: PositionReader) -> Mask:
        if self._stretch == len(self._lengths):
            raise PayloadError("the mask has more survivors than there are values")
        changed = np.zeros(self._lengths[self._stretch], bool)
        for block in sets.blocks(self._stretch):
            changed[block.positions] = True
        self._stretch += 1
        return changed
