"""The loops of rANS, compiled by numba; imported through ``flwr_gan.wire.codecs.compiled``.

See ``flwr_gan.wire.codecs.sparse.rans`` for the numpy equivalents: the same words and symbols.

n symbols, L lanes, S tables. With fewer than 32 lanes, symbols are coded one after the other;
otherwise 32 lanes at once, by vector instructions where the processor has them.
"""

from typing import Any

import numpy as np
from numba import int32, int64, njit, uint8, uint16, uint32

from flwr_gan.wire.codecs.kernels import NoAlias

Array = np.ndarray[Any, np.dtype[Any]]

_SIXTEEN, _ROOM, _BITS = np.uint32(16), np.uint32(18), np.uint32(14)
_SLOTS = np.uint32(1 << 14)
_LOW = np.uint32((1 << 14) - 1)
_LEAST = np.uint32(1 << 16)
_WORD = np.uint32((1 << 16) - 1)
_GROUP = 32
"""Lanes that are coded at once."""


@njit(nogil=True, cache=True)
def encode(symbols: Array, ends: Array, slots: Array, states: Array, words: Array) -> int:
    """Code symbols from the last to the first; return the index of the first word in ``words``.

    ``symbols`` uint8 (n,); ``ends`` int64 (S,), where the symbols of each table end; ``slots``
    uint32 (S, 256), ``frequency << 16 | start`` of each symbol; ``states`` uint32 (L,), changed;
    ``words`` uint16 (n + 1,), filled from its end.
    """
    at = len(words)
    lanes = np.uint64(len(states) - 1)
    inverse = np.zeros(256)
    for part in range(len(ends) - 1, -1, -1):
        table = slots[part]
        for symbol in range(256):
            if table[symbol] >> _SIXTEEN:
                # A little more than the exact: rounded down, products are then exact quotients.
                inverse[symbol] = (1.0 + 2.0**-50) / (table[symbol] >> _SIXTEEN)
        for i in range(ends[part] - 1, ends[part - 1] - 1 if part else -1, -1):
            symbol, lane = symbols[i], np.uint64(i) & lanes
            slot, state = table[symbol], states[lane]
            often = slot >> _SIXTEEN
            over = uint32(state >> _ROOM >= often)
            words[at - 1] = uint16(state)
            at -= int(over)
            state = state >> (over * _SIXTEEN)
            quotient = uint32(np.float64(state) * inverse[symbol])
            states[lane] = uint32(state + (slot & _WORD) + quotient * uint32(_SLOTS - often))
    return at


@njit(nogil=True, cache=True)
def decode(
    states: Array,
    words: Array,
    ends: Array,
    looks: Array,
    slots: Array,
    symbols: Array,
) -> int:
    """Decode into ``symbols`` (n,); return how many words were used, or too many if they run out.

    ``looks`` uint8 (S, 2**14): the symbol of each slot; ``slots`` as for ``encode``; ``words`` has
    one word more than there are.
    """
    at, last = 0, len(words) - 1
    lanes = np.uint64(len(states) - 1)
    first = 0
    for part in range(len(ends)):
        look, table = looks[part], slots[part]
        for i in range(first, ends[part]):
            lane = np.uint64(i) & lanes
            state = states[lane]
            low_bits = state & _LOW
            symbol = look[low_bits]
            slot = table[symbol]
            state = uint32((slot >> _SIXTEEN) * (state >> _BITS) + low_bits - (slot & _WORD))
            low = state < _LEAST
            refilled = uint32(state << _SIXTEEN | words[min(at, last)])
            states[lane] = refilled if low else state
            at += int(low)
            symbols[i] = symbol
        first = ends[part]
    return at


@njit(nogil=True, inline="always")
def _whole_rows(first: int, last: int, lane: int, lanes: int) -> tuple[int, int]:
    """Return which rows have all symbols of the group from ``lane`` on in ``first`` to ``last``."""
    lowest = max(-((lane - first) // lanes), 0)
    return lowest, max((last - lane - _GROUP) // lanes + 1, lowest)


@njit(nogil=True, cache=True, pipeline_class=NoAlias)
def _encode_rows(
    symbols: Array,
    rows: int,
    stride: int,
    slots: Array,
    inverse: Array,
    states: Array,
    at: Array,
    words: Array,
) -> None:
    """Code ``rows`` rows of 32 symbols from the last to the first, ``stride`` apart."""
    for row in range(rows - 1, -1, -1):
        found = symbols[row * stride : row * stride + _GROUP]
        for lane in range(_GROUP):
            # Without these types numba uses 64-bit numbers, and half as many are coded at once.
            symbol, state, place = int32(found[lane]), states[lane], at[lane]
            slot = slots[symbol]
            often = uint32(slot >> _SIXTEEN)
            words[int32(place)] = state
            over = uint32(uint32(state >> _ROOM) >= often)
            at[lane] = uint32(place - over)
            state = uint32(state >> uint32(over << uint32(4)))
            quotient = uint32(int32(np.float32(state) * inverse[symbol]))
            left = uint32(state - uint32(quotient * often))
            quotient = uint32(quotient + uint32(left >= often))
            step = uint32(quotient * uint32(_SLOTS - often))
            states[lane] = uint32(uint32(state + uint32(slot & _WORD)) + step)


@njit(nogil=True, cache=True)
def encode_rows(
    symbols: Array, ends: Array, slots: Array, states: Array, words: Array, counts: Array
) -> int:
    """Code symbols where each lane has its own words; return the number of words.

    ``symbols``, ``ends``, ``slots`` and ``states`` as for ``encode``. ``words`` uint16 (n,), those
    of the first lane first; ``counts`` int64 (L,) says how many each lane has.
    """
    lanes = len(states)
    # Space per lane: an odd number of cache lines, so that lanes spread over all cache sets.
    room = 16 * ((len(symbols) // lanes + 2) // 16 + 1 | 1)
    wide = np.empty(lanes * room, np.uint32)
    at = np.empty(lanes, np.uint32)
    for lane in range(lanes):
        at[lane] = (lane + 1) * room - 1
    inverse = np.zeros(256, np.float32)
    for part in range(len(ends) - 1, -1, -1):
        first, last = ends[part - 1] if part else 0, ends[part]
        table = slots[part]
        for symbol in range(256):
            if table[symbol] >> _SIXTEEN:
                # A little less than the exact, so that quotients are right, or less by one.
                inverse[symbol] = (1.0 - 2.0**-21) / (table[symbol] >> _SIXTEEN)
        for lane in range(0, lanes, _GROUP):
            low, high = _whole_rows(first, last, lane, lanes)
            some, places = states[lane : lane + _GROUP], at[lane : lane + _GROUP]
            after = high * lanes + lane
            _encode_some(symbols, after, min(after + _GROUP, last), table, some, places, wide)
            if high > low:
                rows = symbols[low * lanes + lane :]
                _encode_rows(rows, high - low, lanes, table, inverse, some, places, wide)
            before = (low - 1) * lanes + lane
            end = min(before + _GROUP, last)
            _encode_some(symbols, max(before, first), end, table, some, places, wide)
    used = 0
    for lane in range(lanes):
        begin = int64(at[lane]) + 1
        counts[lane] = (lane + 1) * room - begin
        for i in range(counts[lane]):
            words[used + i] = uint16(wide[begin + i])
        used += counts[lane]
    return used


@njit(nogil=True, cache=True)
def _encode_some(
    symbols: Array,
    first: int,
    last: int,
    table: Array,
    states: Array,
    at: Array,
    words: Array,
) -> None:
    """Code the symbols of a row that spans several tables."""
    for i in range(last - 1, first - 1, -1):
        lane = i % _GROUP
        slot, state = int64(table[symbols[i]]), int64(states[lane])
        often = slot >> 16
        if state >> 18 >= often:
            words[at[lane]] = state & 0xFFFF
            at[lane] -= uint32(1)
            state >>= 16
        states[lane] = state // often << 14 | (state % often + (slot & 0xFFFF))


@njit(nogil=True, cache=True, pipeline_class=NoAlias)
def _decode_rows(
    states: Array,
    at: Array,
    words: Array,
    looks: Array,
    rests: Array,
    stride: int,
    rows: int,
    symbols: Array,
) -> None:
    """Decode ``rows`` rows of 32 symbols, ``stride`` apart."""
    last = uint32(2 * len(words) - 1)
    for row in range(rows):
        found = symbols[row * stride : row * stride + _GROUP]
        for lane in range(_GROUP):
            state, place = states[lane], at[lane]
            slot = int32(state & _LOW)
            look = looks[slot]
            state = uint32(uint32(uint32(look >> uint32(8)) * uint32(state >> _BITS)) + rests[slot])
            both = words[int32(min(place, last) >> uint32(1))]
            word = uint32(uint32(both >> uint32(uint32(place & uint32(1)) << uint32(4))) & _WORD)
            low = state < _LEAST
            states[lane] = uint32(uint32(state << _SIXTEEN) | word) if low else state
            at[lane] = uint32(place + uint32(low))
            found[lane] = uint8(look)


@njit(nogil=True, cache=True)
def decode_rows(
    states: Array,
    at: Array,
    words: Array,
    ends: Array,
    looks: Array,
    rests: Array,
    symbols: Array,
) -> None:
    """Decode symbols where each lane has its own words.

    ``states`` uint32 (L,) and ``at`` uint32 (L,), where the next word of each lane is, are changed.
    ``words`` uint32: two words each, the first in the lower half; beyond them the last is read
    again. ``looks`` uint32 (S, 2**14), ``frequency << 8 | symbol`` of each slot; ``rests`` uint32
    (S, 2**14), the slot less the start of its symbol.
    """
    lanes, first = len(states), 0
    for part in range(len(ends)):
        last = ends[part]
        look, rest = looks[part], rests[part]
        for lane in range(0, lanes, _GROUP):
            low, high = _whole_rows(first, last, lane, lanes)
            some, places = states[lane : lane + _GROUP], at[lane : lane + _GROUP]
            before = (low - 1) * lanes + lane
            end = min(before + _GROUP, last)
            _decode_some(some, places, words, look, rest, max(before, first), end, symbols)
            if high > low:
                rows = symbols[low * lanes + lane :]
                _decode_rows(some, places, words, look, rest, lanes, high - low, rows)
            after = high * lanes + lane
            end = min(after + _GROUP, last)
            _decode_some(some, places, words, look, rest, after, end, symbols)
        first = last


@njit(nogil=True, cache=True)
def _decode_some(
    states: Array,
    at: Array,
    words: Array,
    looks: Array,
    rests: Array,
    first: int,
    last: int,
    symbols: Array,
) -> None:
    """Decode the symbols of a row that spans several tables."""
    for i in range(first, last):
        lane = i % _GROUP
        state, place = states[lane], int64(at[lane])
        slot = int64(state & _LOW)
        look = looks[slot]
        state = uint32((look >> uint32(8)) * (state >> _BITS) + rests[slot])
        if state < _LEAST:
            word = words[min(place, 2 * len(words) - 1) >> 1] >> uint32((place & 1) << 4)
            state = uint32(state << _SIXTEEN | word & _WORD)
            at[lane] = place + 1
        states[lane] = state
        symbols[i] = uint8(look)
