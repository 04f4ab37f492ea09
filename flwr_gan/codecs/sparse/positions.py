"""Sets of positions inside ranges of known length, such as the surviving weights of each layer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from flwr_gan.codecs.sparse.bits import Bytes
from flwr_gan.codecs.sparse.huffman import coded_bits
from flwr_gan.codecs.sparse.streams import open_stream, write_stream
from flwr_gan.codecs.sparse.values import MAGNITUDE_BINS, ValueReader, Values, write_values
from flwr_gan.codecs.varint import ByteReader, write_varint
from flwr_gan.errors import PayloadError

Mask = np.ndarray[Any, np.dtype[np.bool_]]
Positions = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Support:
    """Which of ``length`` places are taken.

    Parameters
    ----------
    length : int
        Number of places.
    positions : numpy.ndarray of int64, shape (k,)
        Those taken, ascending.
    """

    length: int
    positions: Positions

    @classmethod
    def of(cls, mask: Mask) -> "Support":
        """Return the support of a bool array."""
        return cls(len(mask), np.flatnonzero(mask))

    @cached_property
    def mask(self) -> Mask:
        """The support as a bool array."""
        mask = np.zeros(self.length, bool)
        mask[self.positions] = True
        return mask


NONE, ALL, GAPS, BITMAP = 0, 1, 2, 3
"""Forms of a set, two bits each on the wire (permanent)."""

FORM_NAMES = ("none", "all", "gaps", "bitmap")

_BLOCK = 1 << 16
_BITMAP_DENSITY = 1 / 24
"""Below this, gaps are always the shorter form."""


def write_positions(supports: Sequence[Support]) -> bytes:
    """Code which positions are taken.

    Parameters
    ----------
    supports : sequence of Support
        One a layer.

    Returns
    -------
    bytes
        The forms, the sizes of sets in the form of gaps, a stream of bitmaps, the gaps.
    """
    forms: list[int] = []
    sizes = b""
    gaps: list[Values] = []
    bitmaps: list[Bytes] = []
    for support in supports:
        form, coded = _best_form(support)
        forms.append(form)
        if form == GAPS:
            sizes += write_varint(len(coded))
            gaps.append(coded)
        elif form == BITMAP:
            bitmaps.append(coded)
    packed = _pack_forms(forms)
    return packed + sizes + write_stream(bitmaps) + write_values(gaps, MAGNITUDE_BINS)


def _pack_forms(forms: Sequence[int]) -> bytes:
    packed = bytearray(-(-len(forms) // 4))
    for at, form in enumerate(forms):
        packed[at >> 2] |= form << 2 * (at & 3)
    return bytes(packed)


def _best_form(support: Support) -> tuple[int, Values]:
    nothing = np.empty(0, np.uint8)
    positions = support.positions
    if not len(positions):
        return NONE, nothing
    if len(positions) == support.length:
        return ALL, nothing
    gaps = np.empty(len(positions), np.uint32)
    gaps[0] = positions[0]
    np.subtract(positions[1:], positions[:-1] + 1, out=gaps[1:], casting="unsafe")
    if len(positions) < _BITMAP_DENSITY * support.length:
        return GAPS, gaps
    bitmap = np.packbits(support.mask, bitorder="little")
    gap_bits = coded_bits(np.bincount(np.minimum(gaps, 255)))
    return (GAPS, gaps) if gap_bits <= coded_bits(np.bincount(bitmap)) else (BITMAP, bitmap)


def read_forms(reader: ByteReader, layers: int) -> list[int]:
    """Return the form of each layer's set."""
    packed = reader.take(-(-layers // 4))
    forms = [packed[at >> 2] >> 2 * (at & 3) & 3 for at in range(layers)]
    if _pack_forms(forms) != packed:
        raise PayloadError("mask has forms for more layers than there are")
    return forms


class PositionReader:
    """Reads back what ``write_positions`` wrote, layer by layer, in blocks of bounded size.

    Parameters
    ----------
    reader : ByteReader
        Where the coded sets begin.
    lengths : sequence of int
        Length of each layer.
    """

    def __init__(self, reader: ByteReader, lengths: Sequence[int]) -> None:
        self.forms = read_forms(reader, len(lengths))
        self._lengths = list(lengths)
        self._sizes = [
            reader.varint(limit=length) if form == GAPS else 0
            for form, length in zip(self.forms, lengths, strict=True)
        ]
        # A stream without bytes is not written at all.
        bits = [n for form, n in zip(self.forms, lengths, strict=True) if form == BITMAP]
        self._bitmaps = open_stream(reader, empty=not any(bits))
        self._gaps = ValueReader(
            reader, coding=MAGNITUDE_BINS, dtype=np.dtype("<u4"), total=sum(self._sizes)
        )

    def blocks(self, layer: int) -> Iterator[Positions]:
        """Yield the positions of a layer in ascending order; layers must be taken in order."""
        length = self._lengths[layer]
        if self.forms[layer] == ALL:
            for start in range(0, length, _BLOCK):
                yield np.arange(start, min(start + _BLOCK, length))
        elif self.forms[layer] == GAPS:
            yield from self._gap_blocks(length, self._sizes[layer])
        elif self.forms[layer] == BITMAP:
            for start in range(0, length, _BLOCK):
                yield start + self._bitmap_block(min(_BLOCK, length - start))

    def finish(self) -> None:
        """Raise ``PayloadError`` if a stream holds more than the layers needed."""
        self._gaps.finish()
        self._bitmaps.finish()

    def _gap_blocks(self, length: int, left: int) -> Iterator[Positions]:
        last = -1
        while left:
            gaps = self._gaps.read(min(left, _BLOCK))
            found = np.cumsum(gaps, dtype=np.int64)
            found += np.arange(last + 1, last + 1 + len(gaps))
            last = int(found[-1])
            if last >= length:
                raise PayloadError(f"mask has a position {last} in a layer of {length} weights")
            left -= len(found)
            yield found

    def _bitmap_block(self, bits: int) -> Positions:
        coded = np.frombuffer(self._bitmaps.read(-(-bits // 8)), np.uint8)
        if bits % 8 and coded[-1] >> bits % 8:
            raise PayloadError("mask has bits behind the end of a layer")
        return np.flatnonzero(np.unpackbits(coded, count=bits, bitorder="little"))
