"""Huffman coding of bytes as a deflate stream (RFC 1951) of literals.

Any inflate decodes it, at the speed of C. The standard library could write such streams too
(``Z_HUFFMAN_ONLY``), but where it starts a new block depends on the version of zlib; here the same
bytes come out on every machine, and a block ends where the statistics change.
"""

from collections.abc import Sequence
from functools import cache
from itertools import groupby
from typing import Any

import numpy as np

from flwr_gan.codecs.sparse.bits import Bytes, pack_bits

Counts = np.ndarray[Any, np.dtype[np.int64]]

_MAX_BITS = 15
_MAX_LENGTH_BITS = 7
_END = 256
_SHORT = 64
_BLOCK_HEADER_BITS = 60
_LONG = 1 << 16
_LENGTH_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)


def code_lengths(counts: Sequence[int], *, limit: int) -> list[int]:
    """Return the code length of each symbol, at most ``limit``; 0 for symbols that never occur.

    Huffman's algorithm; where a code comes out too long, small counts are raised and it runs
    again. A single symbol gets one bit.
    """
    used = sorted((count, symbol) for symbol, count in enumerate(counts) if count)
    lengths = [0] * len(counts)
    if len(used) == 1:
        lengths[used[0][1]] = 1
        return lengths
    weights = [count for count, _ in used]
    depths = _depths(weights)
    while depths and max(depths) > limit:
        weights = [(weight + 1) >> 1 for weight in weights]
        depths = _depths(weights)
    for (_, symbol), depth in zip(used, depths, strict=True):
        lengths[symbol] = depth
    return lengths


def _depths(weights: list[int]) -> list[int]:
    # Two queues: leaves in ascending order, and inner nodes, which come out in ascending order.
    leaves = len(weights)
    if leaves < 2:
        return [0] * leaves
    inner: list[int] = []
    parents = [0] * (2 * leaves - 1)
    leaf = node = 0
    for new in range(leaves, 2 * leaves - 1):
        total = 0
        for _ in range(2):
            if leaf < leaves and (node >= len(inner) or weights[leaf] <= inner[node]):
                total += weights[leaf]
                parents[leaf] = new
                leaf += 1
            else:
                total += inner[node]
                parents[leaves + node] = new
                node += 1
        inner.append(total)
    depths = [0] * (2 * leaves - 1)
    for at in range(2 * leaves - 3, -1, -1):
        depths[at] = depths[parents[at]] + 1
    return depths[:leaves]


def _codes(lengths: list[int]) -> list[int]:
    """Return the canonical code words, bits reversed, because deflate sends them from the top."""
    used = sorted((length, symbol) for symbol, length in enumerate(lengths) if length)
    codes = [0] * len(lengths)
    code = previous = 0
    for length, symbol in used:
        code <<= length - previous
        codes[symbol] = _reversed_bits(code, length)
        previous = length
        code += 1
    return codes


@cache
def _reversed_bits(code: int, length: int) -> int:
    return int(f"{code:0{length}b}"[::-1], 2)


class _Table:
    """The codes of one block and the header that describes them."""

    def __init__(self, counts: Counts) -> None:
        ended = [*counts.tolist(), 1]
        if sum(map(bool, ended)) < 2:
            ended[0] = 1
        self.lengths = code_lengths(ended, limit=_MAX_BITS)
        self.header = _header(self.lengths)
        data_bits = int(np.dot(counts, np.array(self.lengths[:_END])))
        self.bits = 3 + sum(width for _, width in self.header) + data_bits + self.lengths[_END]


def _header(lengths: list[int]) -> list[tuple[int, int]]:
    """Return the block's table as pairs (value, bits): RFC 1951, section 3.2.7."""
    # One distance code of no bits says that there are none.
    runs = _run_lengths([*lengths, 0])
    counts = [0] * 19
    for symbol, _, _ in runs:
        counts[symbol] += 1
    if sum(map(bool, counts)) < 2:
        counts[18 if counts[0] else 0] += 1
    length_lengths = code_lengths(counts, limit=_MAX_LENGTH_BITS)
    codes = _codes(length_lengths)
    sent = 19
    while sent > 4 and not length_lengths[_LENGTH_ORDER[sent - 1]]:
        sent -= 1
    fields = [(0, 5), (0, 5), (sent - 4, 4)]
    fields += [(length_lengths[symbol], 3) for symbol in _LENGTH_ORDER[:sent]]
    for symbol, extra, extra_bits in runs:
        fields.append((codes[symbol], length_lengths[symbol]))
        if extra_bits:
            fields.append((extra, extra_bits))
    return fields


def _run_lengths(lengths: list[int]) -> list[tuple[int, int, int]]:
    """Return the code lengths as symbols of the length alphabet: (symbol, extra, extra bits)."""
    runs: list[tuple[int, int, int]] = []
    for value, same in groupby(lengths):
        count = len(list(same))
        if value:
            runs.append((value, 0, 0))
            count -= 1
        while count > 2:
            if value:
                step = min(count, 6)
                runs.append((16, step - 3, 2))
            elif count < 11:
                step = count
                runs.append((17, step - 3, 3))
            else:
                step = min(count, 138)
                runs.append((18, step - 11, 7))
            count -= step
        runs += [(value, 0, 0)] * count
    return runs


def byte_counts(data: Bytes) -> Counts:
    """Return how often each byte occurs."""
    if len(data) < _LONG:
        return np.bincount(data, minlength=_END)
    pairs = np.ascontiguousarray(data[: len(data) & ~1]).view("<u2")
    by_pair = np.bincount(pairs, minlength=1 << 16).reshape(_END, _END)
    counts: Counts = by_pair.sum(axis=0) + by_pair.sum(axis=1)
    return counts + np.bincount(data[len(data) & ~1 :], minlength=_END)


def total_counts(sections: Sequence[Bytes]) -> Counts:
    """Return how often each byte occurs in all sections together."""
    counts = byte_counts(sections[0])
    for section in sections[1:]:
        counts = counts + byte_counts(section)
    return counts


def block_bits(symbols: Bytes) -> int:
    """Return how many bits one block of these bytes takes, its header included."""
    return _Table(byte_counts(symbols)).bits


def coded_bits(counts: Counts) -> int:
    """Return about how many bits Huffman coding needs for symbols that occur so often.

    A symbol takes one bit at least; the code itself about 4 bits for each symbol in use.
    """
    used = counts[counts > 0]
    if len(used) < 2:
        return 8
    bits = used * np.maximum(np.log2(used.sum() / used), 1)
    return round(float(bits.sum())) + 4 * len(used)


def huffman_deflate(sections: Sequence[Bytes]) -> bytes:
    """Code bytes as a deflate stream.

    Parameters
    ----------
    sections : sequence of numpy.ndarray of uint8
        What to code; neighbours share a code where that is shorter than describing two.

    Returns
    -------
    bytes
        A raw deflate stream of the sections, joined.
    """
    blocks: list[tuple[list[Bytes], Counts]] = []
    for parts in _gathered(sections):
        counts = total_counts(parts)
        if blocks:
            before, before_counts = blocks[-1]
            apart = coded_bits(counts) + coded_bits(before_counts)
            if coded_bits(counts + before_counts) <= apart + _BLOCK_HEADER_BITS:
                blocks.pop()
                parts, counts = before + parts, counts + before_counts
        blocks.append((parts, counts))
    values: list[Any] = []
    widths: list[Any] = []
    for number, (parts, counts) in enumerate(blocks):
        table = _Table(counts)
        last = number == len(blocks) - 1
        lead = [(int(last), 1), (2, 2), *table.header]
        lead_values, lead_widths = zip(*lead, strict=True)
        values.append(np.array(lead_values, np.uint64))
        widths.append(np.array(lead_widths, np.int64))
        codes = np.array(_codes(table.lengths), np.uint64)
        lengths = np.array(table.lengths, np.int64)
        for part in parts:
            part_values, part_widths = _look_up(part, codes, lengths)
            values += part_values
            widths += part_widths
        values.append(codes[_END:])
        widths.append(lengths[_END:])
    return pack_bits(np.concatenate(values), np.concatenate(widths))


def _gathered(sections: Sequence[Bytes]) -> list[list[Bytes]]:
    """Put together neighbouring sections that are too short for a table of their own."""
    gathered: list[list[Bytes]] = []
    count = _SHORT
    for section in sections:
        if count < _SHORT or (gathered and len(section) < _SHORT):
            gathered[-1].append(section)
            count += len(section)
        else:
            gathered.append([section])
            count = len(section)
    return gathered


def _look_up(part: Bytes, codes: Any, lengths: Any) -> tuple[list[Any], list[Any]]:
    """Return the code words and their lengths, in long parts for two bytes at a time."""
    if len(part) < _LONG:
        return [codes[part]], [lengths[part]]
    low, high = np.arange(1 << 16) & 255, np.arange(1 << 16) >> 8
    pair_codes = codes[low] | codes[high] << lengths[low].astype(np.uint64)
    pair_lengths = lengths[low] + lengths[high]
    even = len(part) & ~1
    pairs = np.ascontiguousarray(part[:even]).view("<u2")
    odd = part[even:]
    return [pair_codes[pairs], codes[odd]], [pair_lengths[pairs], lengths[odd]]
