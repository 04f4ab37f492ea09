"""Packing and unpacking of numbers of a few bits each, lowest bit first."""

from typing import Any

import numpy as np

Words = np.ndarray[Any, np.dtype[np.uint64]]
Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Widths = np.ndarray[Any, np.dtype[np.int64]]

_MASKS = (np.uint64(1) << np.arange(33, dtype=np.uint64)) - np.uint64(1)


def pack_bits(values: Words, widths: Widths) -> bytes:
    """Pack uint64 values, each in its number of bits (0 to 32), padded to a byte with zeros."""
    while len(values) > 1 and 2 * int(widths.max()) <= 32:
        if len(values) % 2:
            values = np.append(values, np.uint64(0))
            widths = np.append(widths, 0)
        values = values[0::2] | values[1::2] << widths[0::2].astype(np.uint64)
        widths = widths[0::2] + widths[1::2]
    ends = np.cumsum(widths)
    total = int(ends[-1]) if len(ends) else 0
    starts = ends - widths
    shifted = values << (starts & 31).astype(np.uint64)
    word = starts >> 5
    count = (total + 31) // 32 + 1
    # Bits do not overlap, so a sum is a union; sums stay below 2**32, exact in a double.
    low = np.bincount(word, (shifted & np.uint64(0xFFFFFFFF)).astype(np.float64), count)
    high = np.bincount(word + 1, (shifted >> np.uint64(32)).astype(np.float64), count + 1)
    words = low[:count] + high[:count]
    return words.astype(np.uint64).astype("<u4").tobytes()[: (total + 7) // 8]


def unpack_bits(packed: bytes, widths: Widths) -> Words:
    """Read back what ``pack_bits`` wrote; ``packed`` must have all bits of ``widths``."""
    starts = np.cumsum(widths) - widths
    padded = packed + bytes(8 + -len(packed) % 4)
    halves = np.frombuffer(padded, "<u4").astype(np.uint64)
    # Windows of 64 bits begin every 32 bits, so that one of them has a value whole.
    windows = halves[:-1] | halves[1:] << np.uint64(32)
    words: Words = windows.take(starts >> 5)
    words >>= (starts & 31).view(np.uint64)
    words &= _MASKS.take(widths)
    return words


def pack_fixed(values: Bytes, width: int) -> bytes:
    """Write the lowest ``width`` (1 to 7) bits of each value, one after the other."""
    spread = np.unpackbits(values.reshape(-1, 1), axis=1, count=width, bitorder="little")
    return np.packbits(spread.reshape(-1), bitorder="little").tobytes()


def unpack_fixed(packed: bytes, width: int, count: int) -> Bytes:
    """Read ``count`` values of ``width`` (1 to 7) bits each."""
    groups = -(-count // 8)  # eight values take a whole number of bytes, ``width``
    words = np.zeros((groups, 8), np.uint8)
    words[:, :width] = np.frombuffer(packed.ljust(groups * width, b"\0"), np.uint8).reshape(
        groups, width
    )
    shifts = np.arange(0, 8 * width, width, dtype=np.uint64)
    values = words.view("<u8") >> shifts & np.uint64((1 << width) - 1)
    return values.astype(np.uint8).reshape(-1)[:count]
