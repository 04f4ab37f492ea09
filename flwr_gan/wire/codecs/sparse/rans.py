"""Interleaved range asymmetric numeral systems (rANS): entropy coding of bytes.

Duda, "Asymmetric numeral systems", 2013; lanes as in Giesen, "Interleaved entropy coders", 2014.
States have 32 bits, words 16, frequencies add up to 2**14. Symbol ``i`` belongs to lane ``i mod
L``. Fewer than 32 lanes share one sequence of words; otherwise each lane has its own, for vector
instructions. The last 2 L symbols are stored uncoded in the initial states, which would otherwise
carry no information.

n symbols, L lanes (a power of two), S tables.
"""

from collections.abc import Sequence

import numpy as np

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs import compiled
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.sparse.bits import pack_bits, unpack_bits
from flwr_gan.wire.codecs.sparse.tables import SCALE_BITS, Table
from flwr_gan.wire.codecs.varint import ByteReader, write_varint

MAX_LANE_BITS = 11
_BYTES_A_LANE = 1024
"""A lane takes up to 5 bytes; numpy needs many lanes to be fast, numba needs 32."""

MANY_LANES = 32
"""From this number of lanes on, each lane has its own words."""

_LEAST = 1 << 16
_SLOTS = 1 << SCALE_BITS
_ROOM = 32 - SCALE_BITS

_WORD = np.dtype("<u2")
_STATE = np.dtype("<u4")

_MOST_WIDTH = 31
"""Maximum bits of a lane's number of words."""


def lane_bits(coded_bytes: float, count: int) -> int:
    """Return log2 of the number of lanes for ``count`` symbols.

    ``coded_bytes`` is the estimated size of the symbols and of the data sent with them.
    """
    wanted = int(min(coded_bytes // _BYTES_A_LANE, count // 4))
    return min(max(wanted, 1).bit_length() - 1, MAX_LANE_BITS)


def encode(
    symbols: Array, ends: Sequence[int], tables: Sequence[Table], lanes: int
) -> list[memoryview]:
    """Code symbols: the final states of the lanes, the number of words of each, the words.

    Symbols are uint8, shape (n,). ``ends`` are the ends of each table's symbols, the last is n;
    every symbol that occurs has a frequency in its table. The number of lanes is a power of two.
    """
    count = _coded_count(len(symbols), lanes)
    states = np.full(lanes, _LEAST, np.uint32)
    if count < len(symbols):
        states += symbols[count : count + lanes].astype(np.uint32) << np.uint32(8)
        states += symbols[count + lanes :]
    coded, ends_of = symbols[:count], np.minimum(np.array(ends, np.int64), count)
    if lanes < MANY_LANES:
        words = _encode_few(coded, ends_of, tables, states)
        return [states.astype(_STATE).view(np.uint8).data, words.view(np.uint8).data]
    words, counts = _encode_many(coded, ends_of, tables, states)
    lengths = memoryview(_written_lengths(counts))
    return [states.astype(_STATE).view(np.uint8).data, lengths, words.view(np.uint8).data]


def decode(
    data: bytes | memoryview, count: int, ends: Sequence[int], tables: Sequence[Table], lanes: int
) -> Array:
    """Decode ``count`` symbols, or raise ``PayloadError`` if the data does not fit exactly."""
    reader = ByteReader(data, what="a stream of rANS")
    states = np.frombuffer(reader.take(4 * lanes), _STATE).astype(np.uint32)
    lengths = _read_lengths(reader, lanes) if lanes >= MANY_LANES else None
    if reader.left % 2:
        raise PayloadError("a stream is truncated: it ends within a word")
    if lengths is not None and 2 * int(lengths.sum()) != reader.left:
        raise PayloadError("a stream does not end where the words of its lanes do")
    # One extra word, to be read where the words run out.
    words = np.append(np.frombuffer(reader.rest(), _WORD), _WORD.type(0))
    coded = _coded_count(count, lanes)
    symbols = np.empty(count, np.uint8)
    ends_of = np.minimum(np.array(ends, np.int64), coded)
    if lengths is None:
        used = _decode_few(states, words, ends_of, tables, symbols[:coded])
        ended = used == len(words) - 1
    else:
        stops = lengths.cumsum()
        at = (stops - lengths).astype(np.uint32)
        _decode_many(states, at, words, ends_of, tables, symbols[:coded])
        ended = np.array_equal(at, stops)
    rest = symbols[coded:]
    if not ended or not (states >> 16 == 1).all():
        raise PayloadError("a stream does not end where its symbols do")
    if len(rest):
        rest[:lanes] = states >> 8
        rest[lanes:] = states
    elif (states != _LEAST).any():
        raise PayloadError("a stream does not end where its symbols do")
    return symbols


def _coded_count(count: int, lanes: int) -> int:
    """Return the number of coded symbols; the others, if there are enough, are in the states."""
    return count - 2 * lanes if count >= 2 * lanes else count


def _written_lengths(counts: Array) -> bytes:
    """Return the least of the numbers, and the rest of each above it, in as few bits as needed."""
    least = int(counts.min())
    more = (counts - least).astype(np.uint64)
    width = int(more.max()).bit_length()
    packed = pack_bits(more, np.full(len(more), width)) if width else b""
    return write_varint(least) + bytes([width]) + packed


def _read_lengths(reader: ByteReader, lanes: int) -> Array:
    least, width = reader.varint(limit=reader.left), reader.byte()
    if width > _MOST_WIDTH:
        raise PayloadError(f"a stream has lengths of {width} bits; at most {_MOST_WIDTH} can be")
    packed = bytes(reader.take((lanes * width + 7) // 8))
    more = unpack_bits(packed, np.full(lanes, width)) if width else np.zeros(lanes, np.uint64)
    lengths: Array = more.astype(np.int64) + least
    return lengths


def _slots(tables: Sequence[Table]) -> Array:
    return np.stack([table.freqs << 16 | table.starts for table in tables])


def _table_of_each(ends: Array, tables: Sequence[Table]) -> Array | None:
    """Return the index of each symbol's table; None if there is only one table."""
    return np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0)) if len(tables) > 1 else None


def _frequencies(symbols: Array, ends: Array, tables: Sequence[Table]) -> tuple[Array, Array]:
    """Return frequency and start of each symbol, uint32."""
    which = _table_of_each(ends, tables)
    at = (0 if which is None else which, symbols)
    return np.stack([t.freqs for t in tables])[at], np.stack([t.starts for t in tables])[at]


def _encode_few(symbols: Array, ends: Array, tables: Sequence[Table], states: Array) -> Array:
    """Return the words of all lanes; the states are changed."""
    loops = compiled.rans_kernels()
    if loops is not None:
        words = np.empty(len(symbols) + 1, _WORD)
        return words[loops.encode(symbols, ends, _slots(tables), states, words) :].copy()
    with compiled.slow_part():
        often, start = (each.tolist() for each in _frequencies(symbols, ends, tables))
        state_of, lanes = states.tolist(), len(states) - 1
        found = []
        for i in range(len(often) - 1, -1, -1):
            state, freq = state_of[i & lanes], often[i]
            if state >> _ROOM >= freq:
                found.append(state & 0xFFFF)
                state >>= 16
            state_of[i & lanes] = state + start[i] + state // freq * (_SLOTS - freq)
        states[:] = state_of
        return np.array(found[::-1], _WORD)


def _encode_many(
    symbols: Array, ends: Array, tables: Sequence[Table], states: Array
) -> tuple[Array, Array]:
    """Return the words, lane after lane, and the number of each lane; the states are changed."""
    lanes = len(states)
    loops = compiled.rans_kernels()
    if loops is not None:
        words, counts = np.empty(len(symbols), _WORD), np.empty(lanes, np.int64)
        used = loops.encode_rows(symbols, ends, _slots(tables), states, words, counts)
        return words[:used].copy(), counts
    with compiled.slow_part():
        often, start = _frequencies(symbols, ends, tables)
        rows = -(-len(symbols) // lanes)
        words, over = np.empty((rows, lanes), _WORD), np.zeros((rows, lanes), bool)
        room, word, slots = np.uint32(_ROOM), np.uint32(16), np.uint32(_SLOTS)
        for row in range(rows - 1, -1, -1):
            part = slice(row * lanes, (row + 1) * lanes)
            freq = often[part]
            state, full = states[: len(freq)], over[row, : len(freq)]
            words[row, : len(freq)] = state
            np.greater_equal(state >> room, freq, out=full)
            at = full.nonzero()[0]
            state[at] = state.take(at) >> word
            step = state // freq
            step *= slots - freq
            step += start[part]
            state += step
        return words.T[over.T], over.sum(axis=0)


def _decode_few(
    states: Array, words: Array, ends: Array, tables: Sequence[Table], symbols: Array
) -> int:
    """Return the number of used words, too large if they run out; the states are changed."""
    loops = compiled.rans_kernels()
    if loops is not None:
        looks = np.stack([table.look for table in tables])
        used: int = loops.decode(states, words, ends, looks, _slots(tables), symbols)
        return used
    with compiled.slow_part():
        every = [(t.look.tolist(), t.freqs.tolist(), t.starts.tolist()) for t in tables]
        which = _table_of_each(ends, tables)
        chosen = [0] * len(symbols) if which is None else which.tolist()
        state_of, left = states.tolist(), words.tolist()
        lanes, low, last = len(states) - 1, _SLOTS - 1, len(words) - 1
        found, at = [], 0
        for i, number in enumerate(chosen):
            look, freqs, starts = every[number]
            state = state_of[i & lanes]
            slot = state & low
            symbol = look[slot]
            state = freqs[symbol] * (state >> SCALE_BITS) + slot - starts[symbol]
            if state < _LEAST:
                state = state << 16 | left[min(at, last)]
                at += 1
            state_of[i & lanes] = state
            found.append(symbol)
        states[:] = state_of
        symbols[:] = found
        return at


def _decode_many(
    states: Array, at: Array, words: Array, ends: Array, tables: Sequence[Table], symbols: Array
) -> None:
    """Read each lane's words from ``at`` on; ``at`` and the states are changed."""
    loops = compiled.rans_kernels()
    if loops is not None:
        looks, rests = _steps(tables)
        both = np.append(words, np.zeros(len(words) % 2, _WORD)).view("<u4")
        loops.decode_rows(states, at, both, ends, looks, rests, symbols)
        return
    with compiled.slow_part():
        looks, rests = (each.reshape(-1) for each in _steps(tables))
        which = _table_of_each(ends, tables)
        offset = None if which is None else which << SCALE_BITS
        lanes, wide = len(states), words.astype(np.uint32)
        low, bits, word = np.uint32(_SLOTS - 1), np.uint32(SCALE_BITS), np.uint32(16)
        least = np.uint32(_LEAST)
        places = at.astype(np.intp)
        for first in range(0, len(symbols), lanes):
            row = slice(first, first + lanes)
            state = states[: len(symbols) - first]
            place = places[: len(state)]
            slot = (state & low).astype(np.intp)
            if offset is not None:
                slot += offset[row]
            look = looks.take(slot)
            symbols[row] = look
            look >>= np.uint32(8)
            state >>= bits
            state *= look
            state += rests.take(slot)
            short = state < least
            following = wide.take(place, mode="clip")
            following *= short
            state <<= short * word
            state |= following
            place += short
        at[:] = places


def _steps(tables: Sequence[Table]) -> tuple[Array, Array]:
    """Return ``frequency << 8 | symbol`` of each slot, and the slot less the start of its symbol.

    Both are uint32, shape (S, 2**14).
    """
    looks, rests = np.empty((2, len(tables), _SLOTS), np.uint32)
    rests[:] = np.arange(_SLOTS)
    for look, rest, table in zip(looks, rests, tables, strict=True):
        look[:] = (table.freqs << 8 | np.arange(256, dtype=np.uint32)).repeat(table.freqs)
        rest -= table.starts.repeat(table.freqs)
    return looks, rests
