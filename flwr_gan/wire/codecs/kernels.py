"""The inner loops of coding, compiled by numba; imported through ``flwr_gan.wire.codecs.compiled``.

Every loop here has a numpy equivalent that gives the same bits.

n symbols.
"""

from typing import Any

import numpy as np
from numba import int8, int32, njit, uint16, uint32
from numba.core.compiler import Compiler

Array = np.ndarray[Any, np.dtype[Any]]

_ONE, _LONG_ONE = np.uint32(1), np.uint64(1)
_DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
_PLACES = np.argsort(_DE_BRUIJN << np.arange(64, dtype=np.uint64) >> np.uint64(58))


_LARGEST = np.finfo(np.float32).max
_NOTHING = np.float32(0)


class NoAlias(Compiler):
    """Compiles a loop on the promise that its array arguments do not overlap.

    Only then does the compiler vectorise a loop that writes one array and reads another. Use
    it as ``njit(pipeline_class=NoAlias)``.
    """

    def define_pipelines(self) -> Any:
        """Return numba's own pipelines."""
        self.state.flags.noalias = True
        return super().define_pipelines()  # type: ignore[no-untyped-call]


@njit(nogil=True, cache=True)
def extreme_bits(bits: Array) -> tuple[int, int]:
    """Return the largest of int32 ``bits``, and the largest with the sign bit cleared."""
    most, least = int32(bits[0]), uint32(bits[0])
    for i in range(len(bits)):
        most, least = max(most, bits[i]), max(least, uint32(bits[i]))
    return most, least


@njit(nogil=True, cache=True)
def count_bytes(data: Array, counts: Array) -> None:
    """Add how often each byte occurs to ``counts`` int64 (256,)."""
    tables = np.zeros((4, 256), np.uint32)
    whole = len(data) & ~3
    for i in range(0, whole, 4):
        tables[0, data[i]] += _ONE
        tables[1, data[i + 1]] += _ONE
        tables[2, data[i + 2]] += _ONE
        tables[3, data[i + 3]] += _ONE
    for i in range(whole, len(data)):
        tables[0, data[i]] += _ONE
    for symbol in range(256):
        for table in range(4):
            counts[symbol] += tables[table, symbol]


@njit(nogil=True, cache=True)
def float_plane(bits: Array, shift: int, kept: int, sign: int, plane: Array) -> None:
    """Write one byte of the keys of float32 ``bits`` (uint32, (n,)) to uint8 ``plane`` (n,).

    It is ``bits >> shift & kept``, and the sign bit if ``sign`` is 128 and not 0.
    """
    by, some, top = uint32(shift), uint32(kept), uint32(sign)
    for i in range(len(bits)):
        plane[i] = bits[i] >> by & some | bits[i] >> uint32(24) & top


@njit(nogil=True, cache=True, pipeline_class=NoAlias)
def lower_planes(bits: Array, second: Array, third: Array, fourth: Array) -> None:
    """Write the three lower bytes of the keys of float32 ``bits``; undone by ``join_floats``."""
    for i in range(len(bits)):
        one = bits[i]
        second[i] = one >> uint32(16) & uint32(127) | one >> uint32(24) & uint32(128)
        third[i] = one >> uint32(8)
        fourth[i] = one


@njit(nogil=True, cache=True)
def join_floats(first: Array, second: Array, third: Array, fourth: Array, bits: Array) -> None:
    """Write float32 ``bits`` (uint32, (n,)) from the four bytes of their keys, highest first."""
    for i in range(len(bits)):
        upper = uint32(second[i])
        bits[i] = (
            upper >> np.uint32(7) << np.uint32(31)
            | uint32(first[i]) << np.uint32(23)
            | (upper & np.uint32(127)) << np.uint32(16)
            | uint32(third[i]) << np.uint32(8)
            | uint32(fourth[i])
        )


@njit(nogil=True, cache=True)
def word_plane(words: Array, turned: int, byte: int, plane: Array) -> None:
    """Write byte 0 or 1 of uint16 ``words`` (n,), rotated left by ``turned``, 0 or 1."""
    left, right, by = uint16(turned), uint16(16 - turned), uint16(8 * byte)
    for i in range(len(words)):
        plane[i] = uint16(words[i] << left | words[i] >> right) >> by


@njit(nogil=True, cache=True)
def join_words(low: Array, high: Array, turned: int, words: Array) -> None:
    """Write uint16 ``words`` (n,) from their bytes, rotated back by ``turned``, 0 or 1."""
    left, right = uint16(turned), uint16(16 - turned)
    for i in range(len(words)):
        word = uint16(high[i]) << uint16(8) | uint16(low[i])
        words[i] = uint16(word >> left | word << right)


@njit(nogil=True, cache=True, pipeline_class=NoAlias)
def scatter(bits: Array, survivors: Array, weights: Array) -> None:
    """Write ``survivors`` to the ``weights`` (uint32, (n,)) whose bits are set."""
    found = 0
    for at in range(0, len(bits), 8):
        word = _word(bits, at)
        while word:
            lowest = word & (~word + _LONG_ONE)  # its lowest bit that is set
            weights[8 * at + _place(lowest)] = survivors[found]
            found += 1
            word ^= lowest


@njit(nogil=True, cache=True, pipeline_class=NoAlias)
def pick(bits: Array, weights: Array, picked: Array) -> None:
    """Write the ``weights`` (uint32, (n,)) whose bits are set to ``picked``."""
    found = 0
    for at in range(0, len(bits), 8):
        word = _word(bits, at)
        while word:
            lowest = word & (~word + _LONG_ONE)  # its lowest bit that is set
            picked[found] = weights[8 * at + _place(lowest)]
            found += 1
            word ^= lowest


@njit(nogil=True, cache=True)
def _place(bit: Any) -> Any:
    """Return which bit of 64 is set, by a table: the six top bits of the product differ."""
    return _PLACES[bit * _DE_BRUIJN >> np.uint64(58)]


@njit(nogil=True, cache=True)
def _word(bits: Array, at: int) -> Any:
    """Return up to eight of the bytes from ``at`` on as one number."""
    word = np.uint64(0)
    for place in range(min(8, len(bits) - at)):
        word |= np.uint64(bits[at + place]) << np.uint64(8 * place)
    return word


@njit(nogil=True, cache=True)
def split_magnitudes(numbers: Array, symbols: Array, packed: Array) -> int:
    """Write symbols (uint8, (n,)) and raw bits of uint32 numbers; return the number of raw bits.

    See ``flwr_gan.wire.codecs.sparse.magnitudes``; ``packed`` has four bytes per number, and eight.
    """
    pending, filled, at = np.uint64(0), 0, 0
    for i in range(len(numbers)):
        number = numbers[i]
        rest, width = number, 0
        while rest > uint32(15):
            rest >>= _ONE
            width += 1
        symbols[i] = rest if width == 0 else uint32((width + 1) << 3) | rest & uint32(7)
        raw = np.uint64(number) & ((np.uint64(1) << np.uint64(width)) - np.uint64(1))
        pending |= raw << np.uint64(filled)
        filled += width
        while filled >= 8:
            packed[at] = pending & np.uint64(255)
            at += 1
            pending >>= np.uint64(8)
            filled -= 8
    packed[at] = pending & np.uint64(255)
    return 8 * at + filled


@njit(nogil=True, cache=True)
def join_magnitudes(symbols: Array, packed: Array, numbers: Array) -> None:
    """Undo ``split_magnitudes``; ``packed`` has all the bits that the symbols ask for."""
    pending, filled, at = np.uint64(0), 0, 0
    for i in range(len(symbols)):
        symbol = int(symbols[i])
        if symbol < 16:
            numbers[i] = symbol
            continue
        width = (symbol >> 3) - 1
        while filled < width:
            pending |= np.uint64(packed[at]) << np.uint64(filled)
            at += 1
            filled += 8
        raw = pending & ((np.uint64(1) << np.uint64(width)) - np.uint64(1))
        numbers[i] = np.uint64(8 + (symbol & 7)) << np.uint64(width) | raw
        pending >>= np.uint64(width)
        filled -= width


@njit(nogil=True, cache=True, pipeline_class=NoAlias)
def quantise(
    values: Array, factors: Array, block: int, first: int, largest: int, codes: Array
) -> None:
    """Write ``round(value * factor)``, ties to even, from -largest to largest, to int8 ``codes``.

    ``factors`` float64: one per ``block`` values; ``first`` values precede these in their block.
    """
    at = 0
    top = np.float64(largest)
    for number in range(len(factors)):
        factor = factors[number]
        last = min((number + 1) * block - first, len(values))
        # The compiler vectorises only slices, which begin at 0.
        some, found = values[at:last], codes[at:last]
        for i in range(len(some)):
            code = np.rint(some[i] * factor)
            found[i] = int8(int32(min(max(code, -top), top)))
        at = last


@njit(nogil=True, cache=True)
def dequantise(
    codes: Array, scales: Array, block: int, first: int, near: Array, weights: Array
) -> None:
    """Write ``near + code * scale`` as float32, limited to finite numbers, and never 0.

    ``near`` is empty, or has a float32 for each code. See ``flwr_gan.wire.codecs.scaling``.
    """
    highest = np.float64(np.finfo(np.float32).max)
    relative = len(near) > 0
    at = 0
    for number in range(len(scales)):
        scale = scales[number]
        least = max(np.float32(scale * 2.0**-24), np.float32(2.0**-149))
        last = min((number + 1) * block - first, len(codes))
        some, found = codes[at:last], weights[at:last]
        held = near[at:last] if relative else near
        for i in range(len(some)):
            exact = some[i] * scale
            if relative:
                exact += held[i]
            # Not min and max, which would make a number of NaN.
            if exact > highest:
                exact = highest
            elif exact < -highest:
                exact = -highest
            weight = np.float32(exact)
            found[i] = least if weight == 0 else weight
        at = last


@njit(nogil=True, cache=True, pipeline_class=NoAlias)
def add_residual(before: Array, left: Array, lowest: float, after: Array) -> None:
    """Write ``before + left``, or ``before`` where that is 0, not finite or below ``lowest``.

    All float32; zeros of ``before`` stay.
    """
    least = np.float32(lowest)
    for i in range(len(before)):
        one = before[i]
        moved = one + left[i]
        good = (one != 0) & (moved != 0) & (abs(moved) <= _LARGEST) & (moved >= least)
        after[i] = moved if good else one


@njit(nogil=True, cache=True, pipeline_class=NoAlias)
def left_over(wanted: Array, got: Array, near: Array, left: Array, squares: Array) -> None:
    """Write ``wanted - got`` to ``left``, 0 where ``wanted`` is 0; all float32.

    ``near`` is empty, or the values that ``wanted`` changes. Add the squares of the loss and of the
    change to the rows of ``squares``, float64 of shape (2, L), in turn to the L columns. Values
    that are not finite count as 0.
    """
    lanes = squares.shape[1]
    nothing = np.zeros(lanes, np.float32)
    lost, changed = squares[0], squares[1]
    for start in range(0, len(wanted), lanes):
        aim, found = wanted[start : start + lanes], got[start : start + lanes]
        held = near[start : start + lanes] if len(near) else nothing
        rest = left[start : start + lanes]
        for i in range(len(aim)):
            error, change = aim[i] - found[i], aim[i] - held[i]
            error = error if abs(error) <= _LARGEST else _NOTHING
            change = change if abs(change) <= _LARGEST else _NOTHING
            rest[i] = error if aim[i] != 0 else _NOTHING
            lost[i] += np.float64(error) * np.float64(error)
            changed[i] += np.float64(change) * np.float64(change)
