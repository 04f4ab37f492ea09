"""Streams of a reply, read by numba's loops: numbers, tables and rANS.

Import it only where ``flwr_gan.wire.codecs.compiled`` has numba's loops. It reads the usual forms;
for other or damaged data it reports failure, and ``flwr_gan.wire.codecs.sparse.streams`` reads the
data or raises the error. Results are the same bits.

``at`` is a place in ``data`` (uint8), -1 where it cannot be read.
"""

from typing import Any

import numpy as np
from numba import int64, njit, uint8, uint16, uint32

from flwr_gan.wire.codecs.rans_kernels import decode

Array = np.ndarray[Any, np.dtype[Any]]

MOST_LANE_BITS = 4
"""With more lanes, each has its own words, and the separate reader is fast enough."""

MOST_TABLES = 4
SLOTS = 1 << 14


@njit(nogil=True, cache=True)
def varint(data: Array, at: int) -> tuple[int, int]:
    """Return a number and its end; (0, -1) if it is cut off or not in shortest form."""
    value, shift = 0, 0
    while 0 <= at < len(data) and shift < 56:
        group = int64(data[at])
        at += 1
        value |= (group & 127) << shift
        if group < 128:
            return (0, -1) if shift and not group else (value, at)
        shift += 7
    return 0, -1


@njit(nogil=True, cache=True)
def is_set(data: Array, at: int, bit: int) -> int:
    """Return a bit of the bytes from ``at`` on, the lowest of each first."""
    found: int = int64(data[at + (bit >> 3)]) >> (bit & 7) & 1
    return found


@njit(nogil=True, cache=True)
def _exponents(data: Array, at: int, wanted: Array) -> int:
    """Read which symbols occur, and the bits of their frequencies; see ``_table``."""
    kind, span = int64(data[at]), len(wanted)
    length, flags = int64(data[at + 3]), at + 4
    steps = flags if kind & 8 else flags + (span + 7) // 8
    end: int = steps + length
    if length > min(4 * span, 127) or end > len(data):
        return -1
    bit, number = 0, 2
    for i in range(span):
        if not kind & 8 and not is_set(data, flags, i):
            continue
        zeros = 0
        while bit < 8 * length and not is_set(data, steps, bit):
            bit += 1
            zeros += 1
        if bit == 8 * length:
            return -1
        bit += 1
        number += -((zeros + 1) >> 1) if zeros & 1 else zeros >> 1
        if not 0 <= number <= 14 + 1:
            return -1
        wanted[i] = number
    while bit < 8 * length:
        if is_set(data, steps, bit):
            return -1
        bit += 1
    return end


@njit(nogil=True, cache=True)
def _table(data: Array, at: int, look: Array, slots: Array) -> int:
    """Read a table of counted symbols; see ``flwr_gan.wire.codecs.sparse.tables``."""
    if at < 0 or at + 4 > len(data):
        return -1
    kind, low, span = int64(data[at]), int64(data[at + 1]), int64(data[at + 2]) + 1
    if kind > 15 or low + span > 256:
        return -1
    wanted = np.zeros(span, np.int64)
    at = _exponents(data, at, wanted)
    mantissa, used, total = kind & 7, np.count_nonzero(wanted), 0
    end: int = at + (used * mantissa + 7) // 8
    if at < 0 or used == 0 or end > len(data):
        return -1
    bit = 0
    for i in range(span):
        if wanted[i]:
            more = 0
            for j in range(mantissa):
                more |= is_set(data, at, bit + j) << j
            bit += mantissa
            wanted[i] = (1 << mantissa | more) << (wanted[i] - 1) >> mantissa
            total += wanted[i]
    spare = SLOTS
    for i in range(span):
        if wanted[i]:
            wanted[i] = max(wanted[i] * SLOTS // total, 1)
            spare -= wanted[i]
    while spare:
        most = np.argmax(wanted)
        step = max(spare, -(wanted[most] // 2))
        wanted[most] += step
        spare -= step
    slots[:] = 0
    start = 0
    for i in range(span):
        if wanted[i]:
            slots[low + i] = uint32(wanted[i] << 16 | start)
            look[start : start + wanted[i]] = low + i
            start += wanted[i]
    return end


@njit(nogil=True, cache=True)
def _rans(data: Array, at: int, looks: Array, tables: Array, out: Array) -> bool:
    """Decode a stream of rANS that ends with the data; see ``flwr_gan.wire.codecs.sparse.rans``."""
    head, at, count = int64(data[at]), at + 1, len(out)
    lanes, parts = 1 << (head & 15), (head >> 4) + 1
    if head & 15 > MOST_LANE_BITS or parts > MOST_TABLES:
        return False
    ends = np.full(parts, count, np.int64)
    left = count
    for part in range(parts - 1):
        length, at = varint(data, at)
        if at < 0 or length > left:
            return False
        left -= length
        ends[part] = count - left
    for part in range(parts):
        at = _table(data, at, looks[part], tables[part])
    if at < 0 or len(data) - at < 4 * lanes or (len(data) - at) & 1:
        return False
    states = np.empty(lanes, np.uint32)
    for lane in range(lanes):
        state = uint32(0)
        for byte in range(4):
            state |= uint32(data[at + byte]) << uint32(8 * byte)
        states[lane] = state
        at += 4
    coded = count - 2 * lanes if count >= 2 * lanes else count
    words = np.zeros((len(data) - at) // 2 + 1, np.uint16)
    for word in range(len(words) - 1):
        words[word] = uint16(data[at]) | uint16(data[at + 1]) << uint16(8)
        at += 2
    used = decode(
        states, words, np.minimum(ends, coded), looks[:parts], tables[:parts], out[:coded]
    )
    if used != len(words) - 1:
        return False
    for lane in range(lanes):
        state = states[lane]
        if state >> uint32(16) != uint32(1) or (coded == count and state != uint32(1 << 16)):
            return False
        if coded < count:
            out[coded + lane] = uint8(state >> uint32(8))
            out[coded + lanes + lane] = uint8(state)
    return True


@njit(nogil=True, cache=True)
def rans_stream(data: Array, out: Array) -> bool:
    """Decode a whole stream of rANS into uint8 ``out``; False if it is unusual or damaged."""
    looks = np.empty((MOST_TABLES, SLOTS), np.uint8)
    tables = np.empty((MOST_TABLES, 256), np.uint32)
    return len(data) > 0 and _rans(data, 0, looks, tables, out)


@njit(nogil=True, cache=True)
def stream(data: Array, at: int, looks: Array, tables: Array, out: Array) -> int:
    """Read a stream of ``len(out)`` bytes, not of pairs; return its end."""
    if not len(out):
        return at
    lead, at = varint(data, at)
    end = at + (lead >> 2)
    if at < 0 or end > len(data) or end == at:
        return -1
    method = lead & 3
    if method == 0 and end - at == len(out):
        out[:] = data[at:end]
        return end
    if method == 1 and end - at == 1:
        out[:] = data[at]
        return end
    if method == 2 and _rans(data[:end], at, looks, tables, out):
        return end
    return -1
