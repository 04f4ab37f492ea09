"""The survivors of a reply in one pass, compiled by numba: header, tables, codes and weights.

Import it where ``flwr_gan.codecs.compiled`` has numba's loops. It reads the forms that the replies
of a federation have; for anything else, and for anything damaged, it returns no length, and the
reader that knows every form decodes the values or says what is wrong. Results are the same bits.

n values; positions ``at`` are in ``data`` (uint8), -1 where reading failed.
"""

from typing import Any

import numpy as np
from numba import njit, uint8, uint16, uint32

Array = np.ndarray[Any, np.dtype[Any]]

_SCALE_BITS = 14
_SLOTS = 1 << _SCALE_BITS
_MOST_TABLES = 4
_BLOCK = 1 << 20
_SYMBOLS = 240
_LARGEST_KEY = 0x7F60
_BELOW_KEY = 0x1F


def scratch() -> tuple[Array, Array]:
    """Return room for the tables of a stream: looks uint8 and slots uint32."""
    return np.empty((_MOST_TABLES, _SLOTS), np.uint8), np.zeros((_MOST_TABLES, 256), np.uint32)


@njit(nogil=True, cache=True)
def _varint(data: Array, at: int) -> tuple[int, int]:
    """Return a number and where it ends; (0, -1) if it is cut off, or not in shortest form."""
    value, shift = 0, 0
    while 0 <= at < len(data) and shift < 56:
        group = int(data[at])
        at += 1
        value |= (group & 127) << shift
        if group < 128:
            return (0, -1) if shift and not group else (value, at)
        shift += 7
    return 0, -1


@njit(nogil=True, cache=True)
def _table(data: Array, at: int, look: Array, slots: Array) -> int:
    """Read a table of counted symbols; see ``flwr_gan.codecs.sparse.tables``."""
    if at < 0 or at + 3 > len(data):
        return -1
    mantissa, low, span = int(data[at]), int(data[at + 1]), int(data[at + 2]) + 1
    at += 3
    if mantissa > 7 or low + span > 256 or at + (span + 1) // 2 > len(data):
        return -1
    wanted = np.zeros(span, np.int64)
    used, total = 0, 0
    for i in range(span):
        wanted[i] = int(data[at + (i >> 1)]) >> (4 * (i & 1)) & 15
        used += int(wanted[i] > 0)
    at += (span + 1) // 2
    if used == 0 or at + (used * mantissa + 7) // 8 > len(data):
        return -1
    bit = 8 * at
    for i in range(span):
        exponent = wanted[i]
        if exponent:
            more = 0
            for j in range(mantissa):
                more |= (int(data[(bit + j) >> 3]) >> ((bit + j) & 7) & 1) << j
            bit += mantissa
            wanted[i] = (1 << mantissa | more) << (exponent - 1) >> mantissa
            total += wanted[i]
    if total == 0:
        return -1
    spare = _SLOTS
    for i in range(span):
        if wanted[i]:
            wanted[i] = max(wanted[i] * _SLOTS // total, 1)
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
    return at + (used * mantissa + 7) // 8


@njit(nogil=True, cache=True)
def _rans(data: Array, at: int, looks: Array, tables: Array, out: Array) -> bool:
    """Decode a stream of rANS that ends with the data; see ``flwr_gan.codecs.sparse.rans``."""
    head, at, count = int(data[at]), at + 1, len(out)
    lanes, parts = 1 << (head & 15), (head >> 4) + 1
    if head & 15 > 11 or parts > _MOST_TABLES:
        return False
    ends = np.full(parts, count, np.int64)
    left = count
    for part in range(parts - 1):
        length, at = _varint(data, at)
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
    first, last = 0, len(data)
    mask = np.uint64(lanes - 1)
    for part in range(parts):
        look, slots = looks[part], tables[part]
        end = min(ends[part], coded)
        for i in range(first, end):
            lane = np.uint64(i) & mask
            state = states[lane]
            low_bits = state & uint32(_SLOTS - 1)
            symbol = look[low_bits]
            slot = slots[symbol]
            state = uint32((slot >> uint32(16)) * (state >> uint32(14)))
            state = uint32(state + low_bits - (slot & uint32(0xFFFF)))
            if state < uint32(1 << 16):
                if at >= last:
                    return False
                word = uint32(data[at]) | uint32(data[at + 1]) << uint32(8)
                state = uint32(state << uint32(16) | word)
                at += 2
            states[lane] = state
            out[i] = symbol
        first = max(end, first)
    if at != last:
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
def _stream(data: Array, at: int, looks: Array, tables: Array, out: Array) -> int:
    """Read a stream of ``len(out)`` bytes, which is not one of pairs; return where it ends."""
    if not len(out):
        return at
    lead, at = _varint(data, at)
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


@njit(nogil=True, cache=True)
def _magnitudes(data: Array, at: int, looks: Array, tables: Array, numbers: Array) -> int:
    """Read uint32 numbers in magnitude bins; return where they end."""
    symbols = np.empty(len(numbers), np.uint8)
    at = _stream(data, at, looks, tables, symbols)
    if at < 0:
        return -1
    bits = 0
    for i in range(len(symbols)):
        if symbols[i] >= _SYMBOLS:
            return -1
        bits += max(int(symbols[i]) >> 3, 1) - 1
    end = at + (bits + 7) // 8
    if end > len(data):
        return -1
    pending, filled = np.uint64(0), 0
    for i in range(len(symbols)):
        symbol = int(symbols[i])
        if symbol < 16:
            numbers[i] = symbol
            continue
        width = (symbol >> 3) - 1
        while filled < width:
            pending |= np.uint64(data[at]) << np.uint64(filled)
            at += 1
            filled += 8
        raw = pending & ((np.uint64(1) << np.uint64(width)) - np.uint64(1))
        numbers[i] = np.uint64(8 + (symbol & 7)) << np.uint64(width) | raw
        pending >>= np.uint64(width)
        filled -= width
    return end


@njit(nogil=True, cache=True)
def _palette(data: Array, at: int, looks: Array, tables: Array, keys: Array) -> int:
    """Read keys of 16 bits of a palette of at most 256; return where they end."""
    more, at = _varint(data, at)
    lowest, at = _varint(data, at)
    if at < 0 or more >= min(len(keys), 256) or lowest > 0xFFFF:
        return -1
    palette = np.empty(more + 1, np.int64)
    palette[0] = lowest
    steps = np.empty(more, np.uint32)
    at = _magnitudes(data, at, looks, tables, steps) if more else at
    for i in range(more):
        palette[i + 1] = palette[i] + 1 + np.int64(steps[i])
    if at < 0 or palette[more] > 0xFFFF:
        return -1
    places = np.zeros(len(keys), np.uint8)
    at = _stream(data, at, looks, tables, places) if more else at
    for i in range(len(keys)):
        if int(places[i]) > more:
            return -1
        keys[i] = palette[places[i]]
    return at


@njit(nogil=True, cache=True)
def _keys(data: Array, at: int, looks: Array, tables: Array, keys: Array) -> int:
    """Read keys of 16 bits in bins; return where they end."""
    if at < 0 or at >= len(data):
        return -1
    raw = int(data[at])
    if raw == 0xFF:
        return _palette(data, at + 1, looks, tables, keys)
    if not 2 <= raw <= 8:
        return -1
    lowest, at = _varint(data, at + 1)
    tops, rest = np.empty(len(keys), np.uint8), np.zeros((len(keys) * raw + 7) // 8, np.uint8)
    at = _stream(data, at, looks, tables, tops) if at >= 0 else at
    at = _stream(data, at, looks, tables, rest) if at >= 0 else at
    if at < 0:
        return -1
    for i in range(len(keys)):
        top = lowest + int(tops[i])
        if top >> (16 - raw):
            return -1
        low = 0
        for bit in range(i * raw, (i + 1) * raw):
            low |= (int(rest[bit >> 3]) >> (bit & 7) & 1) << (bit - i * raw)
        keys[i] = top << raw | low
    return at


@njit(nogil=True, cache=True)
def block_differences(
    data: Array,
    ends: Array,
    block: int,
    largest: int,
    near: Array,
    looks: Array,
    tables: Array,
    weights: Array,
) -> bool:
    """Write ``near`` (float32, (n,)) plus codes times the scales of blocks to ``weights``.

    ``data`` begins with the number of scales; ``ends`` int64: where the survivors of each layer
    end, whose blocks begin anew. Returns False where the data is not exactly that.
    """
    blocks, start = 0, 0
    for layer in range(len(ends)):
        blocks += (ends[layer] - start + block - 1) // block
        start = ends[layer]
    count, at = _varint(data, 0)
    if at < 0 or count != blocks or not 0 < count <= _BLOCK or len(near) > _BLOCK:
        return False
    keys, codes = np.empty(count, np.uint16), np.empty(len(near), np.uint8)
    at = _keys(data, at, looks, tables, keys)
    at = _stream(data, at, looks, tables, codes) if at >= 0 else at
    if at != len(data):
        return False
    for number in range(count):
        if keys[number] > _LARGEST_KEY or keys[number] & _BELOW_KEY:
            return False
    scales = np.empty(count, np.uint32)
    for number in range(count):
        scales[number] = uint32(keys[number]) << uint32(16)
    wide = scales.view(np.float32)
    highest = np.float64(np.finfo(np.float32).max)
    number, start = 0, 0
    for layer in range(len(ends)):
        while start < ends[layer]:
            scale = np.float64(wide[number])
            least = max(np.float32(scale * 2.0**-24), np.float32(2.0**-149))
            last = min(start + block, ends[layer])
            for i in range(start, last):
                code = int(codes[i]) - 128
                if not -largest <= code <= largest:
                    return False
                exact = code * scale + near[i]
                if exact != exact:
                    return False
                weight = np.float32(min(max(exact, -highest), highest))
                weights[i] = least if weight == 0 else weight
            start = last
            number += 1
    return True


@njit(nogil=True, cache=True)
def exact_differences(
    data: Array, near: Array, looks: Array, tables: Array, weights: Array
) -> bool:
    """Write the floats that lie so many floats from ``near`` (both uint32 bits, (n,)).

    Returns False where the data is not exactly n numbers in magnitude bins.
    """
    if not 0 < len(near) <= _BLOCK:
        return False
    if _magnitudes(data, 0, looks, tables, weights) != len(data):
        return False
    most = uint32(0x7FFFFFFF)
    for i in range(len(near)):
        held, number = near[i], weights[i]
        ordered = held ^ (most if held >> uint32(31) else uint32(0))
        step = number >> uint32(1) ^ (uint32(0xFFFFFFFF) if number & uint32(1) else uint32(0))
        moved = uint32(ordered + step)
        weights[i] = moved ^ (most if moved >> uint32(31) else uint32(0))
    return True


@njit(nogil=True, cache=True)
def weigh(values: Array, share: float, first: bool, total: Array) -> None:
    """Add float32 ``values * share``, rounded once, to float32 ``total``, or write it if first."""
    if first:
        for i in range(len(values)):
            total[i] = np.float32(values[i] * share)
    else:
        for i in range(len(values)):
            total[i] += np.float32(values[i] * share)


@njit(nogil=True, cache=True)
def counted(values: Array) -> tuple[int, bool]:
    """Return how many float32 values are not zero, and whether all are finite."""
    bits = values.view(np.uint32)
    nonzero, special = 0, 0
    for i in range(len(bits)):
        size = bits[i] & uint32(0x7FFFFFFF)
        nonzero += int(size != uint32(0))
        special += int(size >= uint32(0x7F800000))
    return nonzero, special == 0
