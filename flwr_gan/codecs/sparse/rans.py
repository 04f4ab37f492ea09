"""Interleaved range asymmetric numeral systems (rANS): bytes in as many bits as their entropy has.

Duda, "Asymmetric numeral systems", 2013; lanes as in Giesen, "Interleaved entropy coders", 2014.
States have 32 bits, words 16, frequencies add up to 2**14. Symbol ``i`` belongs to lane ``i mod
L``; all lanes share one sequence of words. The last 2 L symbols stand in the first states as they
are, which would otherwise say nothing.

n symbols, L lanes (a power of two), S tables.
"""

from collections.abc import Sequence

import numpy as np

from flwr_gan.codecs import compiled
from flwr_gan.codecs.arrays import Array
from flwr_gan.codecs.sparse.tables import SCALE_BITS, Table
from flwr_gan.errors import PayloadError

MAX_LANE_BITS = 11
_BYTES_A_LANE = 1024
"""A lane takes up to 4 bytes; numpy needs many lanes to be fast, numba needs four."""

_LEAST = 1 << 16
_SLOTS = 1 << SCALE_BITS
_ROOM = 32 - SCALE_BITS
_FEW_LANES = 32
"""Below this, plain numbers of Python are faster than arrays."""

_WORD = np.dtype("<u2")
_STATE = np.dtype("<u4")


def lane_bits(coded_bytes: float, count: int) -> int:
    """Return log2 of the number of lanes for ``count`` symbols.

    They, and what else travels only because of them, take about so many bytes.
    """
    wanted = int(min(coded_bytes // _BYTES_A_LANE, count // 4))
    return min(max(wanted, 1).bit_length() - 1, MAX_LANE_BITS)


def encode(
    symbols: Array, ends: Sequence[int], tables: Sequence[Table], lanes: int
) -> list[memoryview]:
    """Code symbols: the last states of the lanes, then the words.

    Parameters
    ----------
    symbols : numpy.ndarray of uint8, shape (n,)
        What to code.
    ends : sequence of int
        Where the symbols of each table end; the last is n.
    tables : sequence of Table
        Their frequencies; a symbol that occurs has a frequency that is not 0.
    lanes : int
        Number of lanes, a power of two.
    """
    count = _coded_count(len(symbols), lanes)
    states = np.full(lanes, _LEAST, np.uint32)
    if count < len(symbols):
        states += symbols[count : count + lanes].astype(np.uint32) << np.uint32(8)
        states += symbols[count + lanes :]
    ends_of = np.minimum(np.array(ends, np.int64), count)
    freqs = np.stack([table.freqs for table in tables])
    starts = np.stack([table.starts for table in tables])
    loops = compiled.kernels()
    if loops is not None:
        words = np.empty(count + 1, _WORD)
        at = loops.rans_encode(symbols, ends_of, freqs << 16 | starts, states, words)
        return _joined(states, words[at:])
    with compiled.slow_part():
        coded = symbols[:count]
        which = _table_of_each(ends_of, count) if len(tables) > 1 else 0
        often, start = freqs[which, coded], starts[which, coded]
        if lanes < _FEW_LANES:
            few = _encode_few(often.tolist(), start.tolist(), states.tolist())
            return _joined(np.array(few[0]), np.array(few[1][::-1], _WORD))
        parts = [np.empty(0, _WORD), *_encode_rows(often, start, states)]
        return _joined(states, np.concatenate(parts[::-1]))


def _joined(states: Array, words: Array) -> list[memoryview]:
    return [states.astype(_STATE).view(np.uint8).data, words.copy().view(np.uint8).data]


def decode(
    data: bytes | memoryview, count: int, ends: Sequence[int], tables: Sequence[Table], lanes: int
) -> Array:
    """Decode ``count`` symbols, or raise ``PayloadError`` if the data is not exactly theirs."""
    if len(data) < 4 * lanes or len(data) % 2:
        raise PayloadError("a stream is truncated: it does not hold its states")
    states = np.frombuffer(data, _STATE, lanes).astype(np.uint32)
    words = np.frombuffer(data, _WORD, offset=4 * lanes)
    coded = _coded_count(count, lanes)
    symbols = np.empty(count, np.uint8)
    ends_of = np.minimum(np.array(ends, np.int64), coded)
    loops = compiled.kernels()
    if loops is not None:
        freqs = np.stack([table.freqs for table in tables])
        starts = np.stack([table.starts for table in tables])
        looks = np.stack([table.look for table in tables])
        padded = np.append(words, _WORD.type(0))
        slots = freqs << 16 | starts
        used = loops.rans_decode(states, padded, ends_of, looks, slots, symbols[:coded])
    else:
        with compiled.slow_part():
            which = _table_of_each(ends_of, coded) if len(tables) > 1 else None
            way = _decode_few if lanes < _FEW_LANES else _decode_rows
            used = way(states, words, which, tables, symbols[:coded])
    rest = symbols[coded:]
    if used != len(words) or not (states >> 16 == 1).all():
        raise PayloadError("a stream does not end where its symbols do")
    if len(rest):
        rest[:lanes] = states >> 8
        rest[lanes:] = states
    elif (states != _LEAST).any():
        raise PayloadError("a stream does not end where its symbols do")
    return symbols


def _coded_count(count: int, lanes: int) -> int:
    """Return how many symbols are coded; the others, if there are enough, stand in the states."""
    return count - 2 * lanes if count >= 2 * lanes else count


def _table_of_each(ends: Array, count: int) -> Array:
    return np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))[:count]


def _encode_few(
    often: list[int], start: list[int], states: list[int]
) -> tuple[list[int], list[int]]:
    words = []
    lanes = len(states) - 1
    for i in range(len(often) - 1, -1, -1):
        state, freq = states[i & lanes], often[i]
        if state >> _ROOM >= freq:
            words.append(state & 0xFFFF)
            state >>= 16
        states[i & lanes] = state + start[i] + state // freq * (_SLOTS - freq)
    return states, words


def _encode_rows(often: Array, start: Array, states: Array) -> list[Array]:
    words = []
    lanes = len(states)
    room, word = np.uint32(_ROOM), np.uint32(16)
    spare = np.uint32(_SLOTS) - often
    for first in range((len(often) - 1) // lanes * lanes, -1, -lanes):
        row = slice(first, first + lanes)
        freq = often[row]
        state = states[: len(freq)]
        over = (state >> room >= freq).nonzero()[0]
        full = state.take(over)
        words.append(full.astype(_WORD))
        full >>= word
        state[over] = full
        step = state // freq
        step *= spare[row]
        step += start[row]
        state += step
    return words


def _decode_few(
    states: Array,
    words: Array,
    which: Array | None,
    tables: Sequence[Table],
    symbols: Array,
) -> int:
    every = [(t.look.tolist(), t.freqs.tolist(), t.starts.tolist()) for t in tables]
    chosen = [0] * len(symbols) if which is None else which.tolist()
    state_of, left = states.tolist(), words.tolist()
    lanes, low = len(states) - 1, _SLOTS - 1
    found = []
    at = 0
    for i, number in enumerate(chosen):
        look, freqs, starts = every[number]
        state = state_of[i & lanes]
        slot = state & low
        symbol = look[slot]
        state = freqs[symbol] * (state >> SCALE_BITS) + slot - starts[symbol]
        if state < _LEAST:
            if at == len(left):
                return -1
            state = state << 16 | left[at]
            at += 1
        state_of[i & lanes] = state
        found.append(symbol)
    states[:] = state_of
    symbols[:] = found
    return at


def _decode_rows(
    states: Array,
    words: Array,
    which: Array | None,
    tables: Sequence[Table],
    symbols: Array,
) -> int:
    look = np.concatenate([table.look for table in tables])
    slots = np.arange(_SLOTS, dtype=np.uint32)
    freqs = np.concatenate([table.freqs[table.look] for table in tables])
    rests = np.concatenate([slots - t.starts[t.look] for t in tables])
    offset = None if which is None else (which << SCALE_BITS).astype(np.intp)
    lanes, at = len(states), 0
    low, bits, word = np.uint32(_SLOTS - 1), np.uint32(SCALE_BITS), np.uint32(16)
    wide = words.astype(np.uint32)
    for first in range(0, len(symbols), lanes):
        row = slice(first, first + lanes)
        state = states[: len(symbols) - first]
        slot = (state & low).astype(np.intp)
        if offset is not None:
            slot += offset[row]
        look.take(slot, out=symbols[row], mode="clip")
        state >>= bits
        state *= freqs.take(slot)
        state += rests.take(slot)
        short = (state < _LEAST).nonzero()[0]
        if at + len(short) > len(wide):
            return -1
        refilled = state.take(short)
        refilled <<= word
        refilled |= wide[at : at + len(short)]
        state[short] = refilled
        at += len(short)
    return at
