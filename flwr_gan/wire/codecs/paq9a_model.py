"""The model and the arithmetic coder of paq9a, compiled by numba; imported only when used.

All state is in the arrays of ``State``; all arithmetic is on whole numbers, so that the bytes are
the same on every machine. u32 values are kept in 64-bit registers and cut to 32 bits.
"""

# mypy: ignore-errors
# numba compiles these functions for types that mypy cannot follow.

from typing import Any, NamedTuple

import numpy as np
from numba import njit

# Registers.
POS, MATCH, LEN, H, H1, H2, W0, W1, C0, NIB, BC, FLAG_CELL = range(12)
# State of ten two-input mixers, three refiners of literals and three of the LZP flag.
MIXERS, LITERAL_REFINERS, FLAG_REFINERS = 0, 10, 13
_UNITS = 16
# Two weights per context: ten mixers of 512 contexts, then the refiners.
_WEIGHTS = 403456 + 131072 + 524288 + 2097152

ORDER_1 = 0x40000
BLOCK_LIMIT = 131072 - 256
BLOCK_BUFFER = 131072 + 64

_KNOTS = (
    "1 2 3 6 10 16 27 45 73 120 194 310 488 747 1101 1546 2047 2549 2994 3348 3607 3785 3901 3975 "
    "4022 4050 4068 4079 4085 4089 4092 4093 4094"
)


class State(NamedTuple):
    """All state and tables for coding one archive."""

    registers: Any
    ring: Any
    index: Any
    states: Any
    offsets: Any
    cells: Any
    maps: Any
    flag_map: Any
    weights: Any
    remembered: Any
    squash: Any
    stretch: Any
    next_state: Any
    reciprocal: Any


def new_state(level: int, next_state: Any) -> State:
    """Return the state at the start of an archive of a level from 1 to 9."""
    memory = 1 << (22 + level)
    knots = [int(knot) for knot in _KNOTS.split()]
    squash = np.zeros(4096, np.int64)
    for d in range(-2048, 2048):
        k, w = (d >> 7) + 16, d & 127
        after = knots[min(k + 1, 32)]
        squash[d + 2048] = (knots[k] * (128 - w) + after * w + 64) >> 7
    stretch = np.zeros(4096, np.int64)
    cursor = 0
    for x in range(-2047, 2048):
        value = int(squash[x + 2048])
        stretch[cursor : value + 1] = x
        cursor = max(cursor, value + 1)
    stretch[4095] = 2047
    weights = np.full(_WEIGHTS, 1 << 23, np.int32)
    weights[10240::2] = 0
    registers = np.zeros(12, np.int64)
    registers[MATCH] = -1
    registers[NIB] = 1
    return State(
        registers=registers,
        ring=np.zeros(memory // 8, np.uint8),
        index=np.zeros(memory // 32, np.uint32),
        states=np.zeros(ORDER_1 + memory // 2, np.uint8),
        offsets=np.zeros(22, np.int64),
        cells=np.zeros(11, np.int64),
        maps=np.full(11 * 256, 1 << 31, np.uint32),
        flag_map=np.full(512, 1 << 31, np.uint32),
        weights=weights,
        remembered=np.zeros(4 * _UNITS, np.int64),
        squash=squash,
        stretch=stretch,
        next_state=next_state,
        reciprocal=np.array([16384 // (2 * n + 3) for n in range(1024)], np.int64),
    )


@njit(cache=True)
def _squash(squash: Any, d: int) -> int:
    if d > 2047:
        return 4095
    if d < -2048:
        return 0
    return squash[d + 2048]


@njit(cache=True)
def _update_cell(reciprocal: Any, cells: Any, at: int, y: int) -> None:
    cell = np.int64(cells[at])
    count = cell & 1023
    delta = ((((y << 22) - (cell >> 10)) >> 3) * reciprocal[count]) & -1024
    cell = cell + 1 if count < 255 else (cell & -1024) | 255
    cells[at] = np.uint32((cell + delta) & 0xFFFFFFFF)


@njit(cache=True)
def _mix(weights: Any, remembered: Any, unit: int, x1: int, x2: int, at: int) -> int:
    a, b = np.int64(weights[at]), np.int64(weights[at + 1])
    out = (x1 * (a >> 16) + x2 * (b >> 16) + 128) >> 8
    remembered[4 * unit] = x1
    remembered[4 * unit + 1] = x2
    remembered[4 * unit + 2] = at
    remembered[4 * unit + 3] = out
    return out


@njit(cache=True)
def _learn(weights: Any, remembered: Any, squash: Any, unit: int, y: int) -> None:
    x1, x2, at = remembered[4 * unit], remembered[4 * unit + 1], remembered[4 * unit + 2]
    a, b = np.int64(weights[at]), np.int64(weights[at + 1])
    error = y * 4096 - _squash(squash, remembered[4 * unit + 3])
    if a & 3 < 3:
        a += 1
        error *= 4 - (a & 3)
    error = (error + 8) >> 4
    weights[at] = np.int32(a + ((x1 * error) & -4))
    weights[at + 1] = np.int32(b + x2 * error)


@njit(cache=True)
def predicted_byte(r: Any, ring: Any) -> int:
    """Return the byte that the match predicts, or -1."""
    if r[LEN] < 12:
        return -1
    return np.int64(ring[r[MATCH] & (len(ring) - 1)])


@njit(cache=True, inline="always")
def _flag_probability(s: State) -> int:
    r = s.registers
    length = r[LEN]
    if length < 12:
        return 0
    weights, kept = s.weights, s.remembered
    byte = predicted_byte(s.registers, s.ring)
    bucket = length
    if length > 28:
        bucket = 28 + (length >= 32) + (length >= 64) + (length >= 128)
    r[FLAG_CELL] = bucket
    d = s.stretch[np.int64(s.flag_map[bucket]) >> 20]
    d = (
        3 * _mix(weights, kept, 13, 2048, 2 * d, 403456 + 2 * ((r[H2] * 256 + byte) & 0xFFFF)) + d
    ) >> 2
    d = (
        3 * _mix(weights, kept, 14, 2048, 2 * d, 534528 + 2 * ((r[H1] * 704 + byte) & 0x3FFFF)) + d
    ) >> 2
    d = (
        3 * _mix(weights, kept, 15, 2048, 2 * d, 1058816 + 2 * ((r[H1] * 112 + byte) & 0xFFFFF)) + d
    ) >> 2
    return _squash(s.squash, d)


@njit(cache=True)
def _slot(t: Any, key: int) -> int:
    size = len(t) - 0x40000
    k = (key * 123456791) & 0xFFFFFFFF
    k = ((k << 16) | (k >> 16)) & 0xFFFFFFFF
    k = (k * 234567891) & 0xFFFFFFFF
    check = k >> 24
    i = (k * 16) & (size - 16)
    for step in (0, 16, 32):
        if t[0x40000 + (i ^ step)] == check:
            return 0x40000 + (i ^ step)
    rank = t[0x40000 + i + 1]
    if rank > t[0x40000 + (i ^ 16) + 1] or rank > t[0x40000 + (i ^ 32) + 1]:
        i ^= 16
    if t[0x40000 + i + 1] > t[0x40000 + (i ^ 48) + 1]:
        i ^= 48
    start = 0x40000 + i
    for place in range(start, start + 16):
        t[place] = 0
    t[start] = check
    return start


@njit(cache=True, inline="always")
def _find_contexts(s: State, pc: int) -> None:
    r, cp, t = s.registers, s.offsets, s.states
    c0, c4, c8 = r[C0], r[H2], (r[H1] * 16 - 1) & 0xFFFFFFFF
    w0, w1 = r[W0], r[W1]
    if r[BC] == 0:
        for i in range(4):
            cp[i] = 0x10000 * i + ((c4 >> (24 - 8 * i)) & 255) * 256
    q = (c4 << 8) & 0xFFFFFFFF
    cp[4] = _slot(t, ((q & 0xFFFF00) - c0) & 0xFFFFFFFF)
    cp[5] = _slot(t, (q * 3 + c0) & 0xFFFFFFFF)
    cp[6] = _slot(t, (c4 * 7 + c0) & 0xFFFFFFFF)
    cp[7] = _slot(t, (((c8 * 5) & 0xFFFFFC) + c0) & 0xFFFFFFFF)
    cp[8] = _slot(t, (((c8 * 11) & 0xFFFFFF0) + c0 + pc * 13) & 0xFFFFFFFF)
    cp[9] = _slot(t, (w0 * 5 + c0 + pc * 17) & 0xFFFFFFFF)
    cp[10] = _slot(t, (w1 * 7 + w0 * 11 + c0 + pc * 37) & 0xFFFFFFFF)


@njit(cache=True, inline="always")
def _predict(s: State) -> int:
    r, cp = s.registers, s.offsets
    c0 = r[C0]
    if c0 == 0:
        return _flag_probability(s)
    pc = predicted_byte(s.registers, s.ring)
    agrees = np.int64(((pc + 256) >> (8 - r[BC])) == c0)
    if r[BC] == 0 or r[BC] == 4:
        if not agrees:
            pc = 0
        _find_contexts(s, pc)
    weights, kept, maps, states = s.weights, s.remembered, s.maps, s.states
    stretch, cells = s.stretch, s.cells
    d = 0
    for i in range(11):
        place = cp[i] + (c0 if i < 4 else r[NIB])
        cp[11 + i] = place
        state = np.int64(states[place])
        cells[i] = 256 * i + state
        x = stretch[np.int64(maps[256 * i + state]) >> 20]
        d = (
            x
            if i == 0
            else (
                3 * _mix(weights, kept, i - 1, d, x, 1024 * (i - 1) + 2 * (state + 256 * agrees))
                + d
            )
            >> 2
        )
    c4 = r[H2]
    d = (3 * _mix(weights, kept, 10, 512, 2 * d, 10240 + 2 * ((c0 + pc * 256) & 0xFFFF)) + d) >> 2
    d = (3 * _mix(weights, kept, 11, 512, 2 * d, 141312 + 2 * (((c4 << 8) & 0xFF00) | c0)) + d) >> 2
    d = (3 * _mix(weights, kept, 12, 512, 2 * d, 272384 + 2 * ((c4 * 3 + c0) & 0xFFFF)) + d) >> 2
    return _squash(s.squash, d)


@njit(cache=True, inline="always")
def _update(s: State, y: int) -> None:
    r = s.registers
    if r[C0] == 0:
        r[C0] = 1 - y
        return
    states, following, offsets, cells = s.states, s.next_state, s.offsets, s.cells
    maps, reciprocal = s.maps, s.reciprocal
    weights, kept, squash = s.weights, s.remembered, s.squash
    for i in range(11):
        place = offsets[11 + i]
        states[place] = following[2 * np.int64(states[place]) + y]
        _update_cell(reciprocal, maps, cells[i], y)
        if i:
            _learn(weights, kept, squash, i - 1, y)
    r[C0] = 2 * r[C0] + y
    r[BC] += 1
    if r[BC] == 8:
        r[BC] = 0
        r[C0] = 0
    r[NIB] = 2 * r[NIB] + y
    if r[NIB] >= 16:
        r[NIB] = 1
    for unit in range(10, 13):
        _learn(weights, kept, squash, unit, y)


@njit(cache=True, inline="always")
def _update_match(s: State, byte: int) -> None:
    r, ring = s.registers, s.ring
    last = len(ring) - 1
    y = np.int64(predicted_byte(s.registers, s.ring) == byte)
    r[H1] = (r[H1] * 48 + byte + 1) & 0xFFFFFFFF
    r[H2] = ((r[H2] << 8) | byte) & 0xFFFFFFFF
    r[H] = (r[H] * 20 + byte + 1) & (len(s.index) - 1)
    if r[LEN] >= 12:
        _update_cell(s.reciprocal, s.flag_map, r[FLAG_CELL], y)
        for unit in range(13, 16):
            _learn(s.weights, s.remembered, s.squash, unit, y)
    letter = byte | 32
    if 97 <= letter <= 122:
        r[W0] = (r[W0] * 116 + letter) & 0xFFFFFFFF
    elif r[W0]:
        r[W1] = r[W0]
        r[W0] = 0
    ring[r[POS] & last] = byte
    r[POS] += 1
    pos = r[POS]
    if y:
        r[LEN] += 1
        r[MATCH] += 1
    else:
        match = np.int64(s.index[r[H]])
        if (match ^ pos) & last == 0:
            match -= 1
        length = 1
        while length <= 128 and ring[(match - length) & last] == ring[(pos - length) & last]:
            length += 1
        r[LEN] = length - 1
        r[MATCH] = match
    s.index[r[H]] = np.uint32(pos & 0xFFFFFFFF)


@njit(cache=True)
def encode_block(s: State, data: Any, start: int, out: Any) -> tuple[int, int]:
    """Code bytes from ``start`` until the block is full; return (next byte, bytes written)."""
    x1, x2, written, at = 0, 0xFFFFFFFF, 0, start
    while at < len(data) and written <= BLOCK_LIMIT:
        byte = np.int64(data[at])
        hit = predicted_byte(s.registers, s.ring) == byte
        for step in range(1 if hit else 9):
            y = np.int64(hit) if step == 0 else (byte >> (8 - step)) & 1
            p = _predict(s)
            if p < 2048:
                p += 1
            span = x2 - x1
            middle = x1 + (span >> 12) * p + (((span & 0xFFF) * p) >> 12)
            if y:
                x2 = middle
            else:
                x1 = middle + 1
            _update(s, y)
            while (x1 ^ x2) & 0xFF000000 == 0:
                out[written] = x2 >> 24
                written += 1
                x1 = (x1 << 8) & 0xFFFFFFFF
                x2 = ((x2 << 8) & 0xFFFFFFFF) + 255
        _update_match(s, byte)
        at += 1
    out[written] = x1 >> 24
    out[written + 1 : written + 4] = 255
    return at, written + 4


@njit(cache=True)
def decode_block(s: State, payload: Any, out: Any) -> int:
    """Fill ``out`` from ``payload``; return how many of its bytes were used, -1 if damaged."""
    if len(payload) < 4:
        return -1
    x1, x2, x, used = 0, 0xFFFFFFFF, 0, 4
    for i in range(4):
        x = (x << 8) | np.int64(payload[i])
    for at in range(len(out)):
        guess = predicted_byte(s.registers, s.ring)
        byte = 0
        step = 0
        while step < 9:
            p = _predict(s)
            if p < 2048:
                p += 1
            span = x2 - x1
            middle = x1 + (span >> 12) * p + (((span & 0xFFF) * p) >> 12)
            y = np.int64(x <= middle)
            if y:
                x2 = middle
            else:
                x1 = middle + 1
            _update(s, y)
            while (x1 ^ x2) & 0xFF000000 == 0:
                if used >= len(payload):
                    return -1
                x1 = (x1 << 8) & 0xFFFFFFFF
                x2 = ((x2 << 8) & 0xFFFFFFFF) + 255
                x = ((x << 8) & 0xFFFFFFFF) | np.int64(payload[used])
                used += 1
            if step == 0 and y:
                if guess < 0:
                    return -1
                byte = guess
                break
            if step:
                byte = 2 * byte + y
            step += 1
        out[at] = byte
        _update_match(s, byte)
    return used
