"""Byte streams of known length: stored, constant or coded by rANS, whichever is shortest."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import numpy as np

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs import compiled
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.pieces import Deferred, Pieces
from flwr_gan.wire.codecs.sparse import rans
from flwr_gan.wire.codecs.sparse.bits import Bytes
from flwr_gan.wire.codecs.sparse.tables import (
    Table,
    counted_table,
    entropy_bits,
    mask_table,
    read_table,
)
from flwr_gan.wire.codecs.varint import ByteReader, write_varint

STORED, CONSTANT, RANS = 0, 1, 2
"""Ways of coding a stream; the two low bits of its leading number (permanent)."""

_SAMPLE = 1 << 12
_LEAST_SAVING_BITS = 0.2
"""Saving less than one bit in forty per byte of a sample is not worth the time."""

_LONG = 1 << 16
_MANY = 15
MOST_TABLES = 64
"""A table takes as few as 4 bytes of a stream, but about 200,000 of memory."""

_TABLE_BITS, _SYMBOL_BITS, _MASK_TABLE_BITS = 32, 10, 40
"""Estimated size of a table with the number of its symbols."""


def write_stream(sections: Sequence[Bytes], *, are_masks: bool = False, beside: int = 0) -> Pieces:
    """Return sections of uint8, joined, as one stream; no bytes if they are empty.

    They are divided where their statistics may change. ``are_masks``: each byte is eight bits of a
    mask. ``beside`` is the number of incompressible bytes sent with them, next to which more lanes
    add little.
    """
    sections = [part for part in sections if len(part)]
    if not sections:
        return Pieces()
    count = sum(map(len, sections))
    joined = sections[0] if len(sections) == 1 else np.concatenate(sections)
    if count >= 2 * _SAMPLE and _is_noise(byte_counts(spread(joined))):
        return _stored(joined)
    counts = [byte_counts(part) for part in sections]
    total = np.sum(counts, axis=0)
    if total.max() == len(joined):
        return Pieces([write_varint(1 << 2 | CONSTANT), bytes([int(total.argmax())])])
    coded = _coded(joined, counts, are_masks, beside)
    if coded is None or len(coded) >= len(joined):
        return _stored(joined)
    return Pieces([write_varint(len(coded) << 2 | RANS), coded])


def spread(*parts: Bytes) -> Bytes:
    """Return about 4,096 numbers spread over all parts."""
    return every(parts, max(1, sum(map(len, parts)) // _SAMPLE))


def every(parts: Sequence[Bytes], step: int) -> Bytes:
    """Return every ``step``-th number of the joined parts."""
    found, skipped = [], 0
    for part in parts:
        found.append(part[skipped::step])
        skipped = (skipped - len(part)) % step
    return np.concatenate(found)


def write_byte_planes(
    count: int, samples: Sequence[Bytes], write: Callable[[Mapping[int, Bytes]], None]
) -> Pieces:
    """Return planes of ``count`` bytes, not yet computed, each as a stream.

    If a sample (as from ``spread``) shows that almost nothing can be saved, a plane is written
    straight to its final place, together with such neighbours. ``write`` is given arrays of uint8,
    shape (count,), by the numbers of their planes, and fills them.
    """
    coded = Pieces()
    noisy = [count > len(sample) and _is_noise(byte_counts(sample)) for sample in samples]
    for is_noisy, group in groupby(range(len(samples)), key=noisy.__getitem__):
        if is_noisy:
            coded += _deferred(count, list(group), write)
            continue
        for number in group:
            plane = np.empty(count, np.uint8)
            write({number: plane})
            coded += write_stream([plane])
    return coded


def _deferred(
    count: int, numbers: Sequence[int], write: Callable[[Mapping[int, Bytes]], None]
) -> Deferred:
    head = write_varint(count << 2 | STORED)
    length = len(head) + count

    def write_streams(view: memoryview) -> None:
        planes = {}
        for place, number in enumerate(numbers):
            stream = view[place * length : (place + 1) * length]
            stream[: len(head)] = head
            planes[number] = np.frombuffer(stream[len(head) :], np.uint8)
        write(planes)

    return Deferred(length * len(numbers), write_streams)


def _stored(data: Bytes) -> Pieces:
    return Pieces([write_varint(len(data) << 2 | STORED), np.ascontiguousarray(data).data])


def _is_noise(sample: Array) -> bool:
    """Return True if the counts of a sample show that almost nothing can be saved."""
    total = int(sample.sum())
    bits = entropy_bits(sample) / total
    # The entropy of a sample is too low by about this much.
    unseen = np.count_nonzero(sample) / (2 * total * math.log(2))
    return bool(bits + unseen > 8 - _LEAST_SAVING_BITS)


def _coded(joined: Bytes, counts: Sequence[Array], are_masks: bool, beside: int) -> Pieces | None:
    """Return the stream's head, tables and symbols; None if it would be longer than the data."""
    parts = _merged([_Part(int(part.sum()), part, are_masks) for part in counts])
    tables = [part.table() for part in parts]
    size = sum(table.bits(part.counts) for table, part in zip(tables, parts, strict=True)) / 8
    if size >= len(joined):
        return None
    lanes = rans.lane_bits(size + beside, len(joined))
    lengths = [part.length for part in parts]
    coded = Pieces([bytes([lanes | min(len(parts) - 1, _MANY) << 4])])
    if len(parts) > _MANY:
        coded += write_varint(len(parts))
    for length in lengths[:-1]:
        coded += write_varint(length)
    for table in tables:
        coded += table.coded
    for piece in rans.encode(joined, np.cumsum(lengths).tolist(), tables, 1 << lanes):
        coded += piece
    return coded


@dataclass(frozen=True)
class _Part:
    """Symbols that share a table: their number, their counts, whether they are masks."""

    length: int
    counts: Array
    are_masks: bool

    @cached_property
    def bits(self) -> float:
        """Estimated bits of the symbols and their table."""
        used = int(np.count_nonzero(self.counts))
        table = _MASK_TABLE_BITS if self.are_masks else _TABLE_BITS + _SYMBOL_BITS * used
        return entropy_bits(self.counts) + table

    def joined(self, other: "_Part") -> "_Part":
        """Return both merged."""
        counts = self.counts + other.counts
        return _Part(self.length + other.length, counts, self.are_masks)

    def table(self) -> Table:
        """Return the table that gives the fewest bits."""
        table = counted_table(self.counts)
        if self.are_masks:
            of_mask = mask_table(self.counts)
            if of_mask.bits(self.counts) < table.bits(self.counts):
                return of_mask
        return table


def _merged(parts: Sequence[_Part]) -> list[_Part]:
    """Merge neighbours where that is shorter, and where there are too many."""
    merged = [parts[0]]
    for part in parts[1:]:
        both = merged[-1].joined(part)
        if both.bits <= merged[-1].bits + part.bits:
            merged[-1] = both
        else:
            merged.append(part)
    while len(merged) > MOST_TABLES:
        pairs = [merged[at : at + 2] for at in range(0, len(merged), 2)]
        merged = [pair[0].joined(pair[1]) if len(pair) == 2 else pair[0] for pair in pairs]
    return merged


def byte_counts(data: Bytes) -> Array:
    """Return how often each byte occurs."""
    if len(data) < _LONG:
        return np.bincount(data, minlength=256)
    loops = compiled.kernels()
    if loops is not None:
        counts = np.zeros(256, np.int64)
        loops.count_bytes(data, counts)
        return counts
    pairs = np.ascontiguousarray(data[: len(data) & ~1]).view("<u2")
    by_pair = np.bincount(pairs, minlength=1 << 16).reshape(256, 256)
    both: Array = by_pair.sum(axis=0) + by_pair.sum(axis=1)
    return both + np.bincount(data[len(data) & ~1 :], minlength=256)


def read_stream(reader: ByteReader, count: int) -> Bytes:
    """Take a stream of ``count`` bytes off ``reader``; the array may not be writable.

    Raises ``PayloadError`` if the stream does not hold exactly so many bytes.
    """
    if not count:
        return np.empty(0, np.uint8)
    lead = reader.varint(limit=reader.left << 2 | 3)
    data, method = reader.take(lead >> 2), lead & 3
    if method == STORED:
        if len(data) != count:
            raise PayloadError(f"a stored stream has {len(data)} bytes in the place of {count}")
        return np.frombuffer(data, np.uint8)
    if method == CONSTANT:
        if len(data) != 1:
            raise PayloadError("a constant stream must hold exactly one byte")
        return np.full(count, data[0], np.uint8)
    if method != RANS:
        raise PayloadError("a stream is coded in a way that this version does not know")
    found = _at_once(data, count)
    return _decoded(ByteReader(data, what="a stream"), count) if found is None else found


def _at_once(data: memoryview, count: int) -> Bytes | None:
    """Return symbols read in one pass of numba's loops; None unless they are few and usual."""
    if compiled.kernels() is None or count > _LONG:
        return None
    from flwr_gan.wire.codecs.stream_kernels import rans_stream

    symbols = np.empty(count, np.uint8)
    return symbols if rans_stream(np.frombuffer(data, np.uint8), symbols) else None


def _decoded(reader: ByteReader, count: int) -> Bytes:
    head = reader.byte()
    lanes, parts = head & 15, (head >> 4) + 1
    if parts > _MANY:
        parts = reader.varint(limit=MOST_TABLES)
    if lanes > rans.MAX_LANE_BITS or not parts:
        raise PayloadError("a stream has more lanes than there can be, or no tables")
    ends, left = [], count
    for _ in range(parts - 1):
        left -= reader.varint(limit=left)
        ends.append(count - left)
    tables = [read_table(reader) for _ in range(parts)]
    return rans.decode(reader.rest(), count, [*ends, count], tables, 1 << lanes)
