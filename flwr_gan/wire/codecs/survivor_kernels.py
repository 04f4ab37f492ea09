"""The survivors of a reply in one pass, compiled by numba: header, tables, codes and weights.

Import it only where ``flwr_gan.wire.codecs.compiled`` has numba's loops. It reads the usual forms
of replies in a federation; for other or damaged data it returns False, and the general reader
decodes the values or raises the error. Results are the same bits.

n values; ``at`` is a place in ``data`` (uint8), -1 where it cannot be read.
"""

from typing import Any

import numpy as np
from numba import int8, int32, int64, njit, uint8, uint32

from flwr_gan.wire.codecs.kernels import dequantise, join_magnitudes
from flwr_gan.wire.codecs.stream_kernels import MOST_TABLES, SLOTS, is_set, stream, varint

Array = np.ndarray[Any, np.dtype[Any]]

_BLOCK = 1 << 20
_SYMBOLS = 240
_LARGEST_KEY = 0x7F60
_BELOW_KEY = 0x1F


@njit(nogil=True, cache=True)
def _magnitudes(data: Array, at: int, looks: Array, tables: Array, numbers: Array) -> int:
    """Read uint32 numbers in magnitude bins; return their end."""
    symbols = np.empty(len(numbers), np.uint8)
    at = stream(data, at, looks, tables, symbols)
    if at < 0:
        return -1
    bits = 0
    for i in range(len(symbols)):
        if symbols[i] >= _SYMBOLS:
            return -1
        bits += max(int64(symbols[i]) >> 3, 1) - 1
    end = at + (bits + 7) // 8
    if end > len(data):
        return -1
    join_magnitudes(symbols, data[at:end], numbers)
    return end


@njit(nogil=True, cache=True)
def _palette(data: Array, at: int, looks: Array, tables: Array, keys: Array) -> int:
    """Read 16-bit keys of a palette of at most 256; return their end."""
    more, at = varint(data, at)
    lowest, at = varint(data, at)
    if at < 0 or more >= min(len(keys), 256) or lowest > 0xFFFF:
        return -1
    palette = np.empty(more + 1, np.int64)
    palette[0] = lowest
    steps = np.empty(more, np.uint32)
    at = _magnitudes(data, at, looks, tables, steps) if more else at
    for i in range(more):
        palette[i + 1] = palette[i] + 1 + int64(steps[i])
    if at < 0 or palette[more] > 0xFFFF:
        return -1
    places = np.zeros(len(keys), np.uint8)
    at = stream(data, at, looks, tables, places) if more else at
    for i in range(len(keys)):
        if int64(places[i]) > more:
            return -1
        keys[i] = palette[places[i]]
    return at


@njit(nogil=True, cache=True)
def _keys(data: Array, at: int, looks: Array, tables: Array, keys: Array) -> int:
    """Read 16-bit keys in bins; return their end."""
    if at < 0 or at >= len(data):
        return -1
    raw = int64(data[at])
    if raw == 0xFF:
        return _palette(data, at + 1, looks, tables, keys)
    if not 2 <= raw <= 8:
        return -1
    lowest, at = varint(data, at + 1)
    tops, rest = np.empty(len(keys), np.uint8), np.zeros((len(keys) * raw + 7) // 8, np.uint8)
    at = stream(data, at, looks, tables, tops) if at >= 0 else at
    at = stream(data, at, looks, tables, rest) if at >= 0 else at
    if at < 0:
        return -1
    for i in range(len(keys)):
        top = lowest + int64(tops[i])
        if top >> (16 - raw):
            return -1
        low = 0
        for bit in range(raw):
            low |= is_set(rest, 0, i * raw + bit) << bit
        keys[i] = top << raw | low
    return at


@njit(nogil=True, cache=True)
def _codes(data: Array, at: int, looks: Array, tables: Array, codes: Array) -> int:
    """Read codes as bytes around 128, see ``flwr_gan.wire.codecs.sparse.codes``; return the end."""
    if at < 0 or at + 3 > len(data):
        return -1
    how, count = int64(data[at]), len(codes)
    if how & 16:
        group, lowest, kinds = how & 15, int64(data[at + 1]), int64(data[at + 2])
        if how > 31 or not (1 < group <= 8 and kinds > 1 and kinds**group <= 256):
            return -1
        symbols = np.empty((count + group - 1) // group, np.uint8)
        at = stream(data, at + 3, looks, tables, symbols)
        if at < 0 or lowest + kinds > 256:
            return -1
        for i in range(len(symbols)):
            left = int64(symbols[i])
            for j in range(i * group, min((i + 1) * group, count)):
                codes[j] = lowest + left % kinds
                left //= kinds
            if int64(symbols[i]) >= kinds**group:
                return -1
        return at
    if how > 4:
        return -1
    at = stream(data, at + 1, looks, tables, codes)
    if at < 0 or not how:
        return at
    rest = np.zeros((count * how + 7) // 8 + 1, np.uint8)
    at = stream(data, at, looks, tables, rest[:-1])
    if at < 0:
        return -1
    by, kept = uint32(how), uint32((1 << how) - 1)
    for i in range(count):
        if codes[i] >> (8 - how):
            return -1
        bit = i * how
        two = uint32(rest[bit >> 3]) | uint32(rest[(bit >> 3) + 1]) << uint32(8)
        codes[i] = uint8(uint32(codes[i]) << by | two >> uint32(bit & 7) & kept)
    return at


@njit(nogil=True, cache=True)
def block_differences(
    data: Array, ends: Array, block: int, largest: int, near: Array, weights: Array
) -> bool:
    """Write ``near`` (float32, (n,)) plus codes times the scales of blocks to ``weights``.

    ``data`` begins with the number of scales. ``ends`` (int64) are the ends of each layer's
    survivors; blocks restart at each layer. Returns False if the data does not fit exactly.
    """
    blocks, start = 0, 0
    for layer in range(len(ends)):
        blocks += (ends[layer] - start + block - 1) // block
        start = ends[layer]
    count, at = varint(data, 0)
    if at < 0 or count != blocks or not 0 < count <= _BLOCK or len(near) > _BLOCK:
        return False
    looks = np.empty((MOST_TABLES, SLOTS), np.uint8)
    tables = np.empty((MOST_TABLES, 256), np.uint32)
    keys, codes = np.empty(count, np.uint16), np.empty(len(near), np.uint8)
    at = _keys(data, at, looks, tables, keys)
    if _codes(data, at, looks, tables, codes) != len(data):
        return False
    for number in range(count):
        if keys[number] > _LARGEST_KEY or keys[number] & _BELOW_KEY:
            return False
    scales = np.empty(count, np.uint32)
    for number in range(count):
        scales[number] = uint32(keys[number]) << uint32(16)
    wide, signed = scales.view(np.float32).astype(np.float64), np.empty(len(codes), np.int8)
    for i in range(len(codes)):
        signed[i] = int8(int32(codes[i]) - int32(128))
    number, start = 0, 0
    for layer in range(len(ends)):
        last = ends[layer]
        of_layer = wide[number : number + (last - start + block - 1) // block]
        dequantise(signed[start:last], of_layer, block, 0, near[start:last], weights[start:last])
        number += len(of_layer)
        start = last
    wrong = 0
    for i in range(len(codes)):
        wrong += int64(codes[i] < 128 - largest) + int64(codes[i] > 128 + largest)
        wrong += int64(np.isnan(weights[i]))
    return wrong == 0


@njit(nogil=True, cache=True)
def exact_differences(data: Array, near: Array, weights: Array) -> bool:
    """Write the floats at a number of float steps from ``near`` (both uint32 bits, (n,)).

    Returns False where the data is not exactly n numbers in magnitude bins.
    """
    if not 0 < len(near) <= _BLOCK:
        return False
    looks = np.empty((MOST_TABLES, SLOTS), np.uint8)
    tables = np.empty((MOST_TABLES, 256), np.uint32)
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
