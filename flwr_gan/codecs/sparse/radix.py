"""Radix: numbers of few kinds as digits of larger symbols, for Huffman takes a bit at least."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from flwr_gan.codecs.sparse.bits import Bytes
from flwr_gan.codecs.sparse.huffman import block_bits
from flwr_gan.codecs.sparse.streams import read_stream, write_stream
from flwr_gan.codecs.varint import ByteReader
from flwr_gan.errors import PayloadError

Codes = np.ndarray[Any, np.dtype[Any]]

_MOST_TOGETHER = 8
_SYMBOLS = 256


def write_radix(parts: Sequence[Codes]) -> bytes:
    """Code int8 codes, joined, as one block: the lowest, how many kinds, how many a symbol."""
    codes = np.concatenate(parts)
    lowest = int(codes.min())
    size = int(codes.max()) - lowest + 1
    digits = [(part - np.int16(lowest)).astype(np.uint8) for part in parts]
    return bytes([lowest & 255, size - 1]) + write_digits(digits, size=size)


def read_radix(reader: ByteReader, count: int, dtype: np.dtype[Any]) -> Codes:
    """Read a block of ``count`` codes, or raise ``PayloadError``."""
    lowest, size = reader.take(2)
    lowest, size = lowest - 256 * (lowest > 127), size + 1
    if lowest + size > 128:
        raise PayloadError(f"values of {size} kinds cannot begin with {lowest}")
    codes = _read_digits(reader, lowest, size, count)
    return codes.view(np.int8).astype(dtype, copy=False)


def write_digits(parts: Sequence[Bytes], *, size: int) -> bytes:
    """Code digits below ``size`` (1 to 256): how many a symbol, then the symbols.

    Parameters
    ----------
    parts : sequence of numpy.ndarray of uint8
        The digits, divided where their statistics may change.
    size : int
        The base.
    """
    digits = np.concatenate(parts)
    together = {1: digits}
    while size > 1 and size ** (len(together) + 1) <= _SYMBOLS:
        together[len(together) + 1] = _joined(digits, size, len(together) + 1)
    # More digits a symbol waste less of a bit each, but take a longer table.
    group = min(together, key=lambda many: (block_bits(together[many]), many))
    ends = np.cumsum([len(part) for part in parts])[:-1] // group
    return bytes([group]) + write_stream(np.split(together[group], ends))


def read_digits(reader: ByteReader, *, size: int, count: int) -> Bytes:
    """Read ``count`` digits below ``size``, or raise ``PayloadError``."""
    return _read_digits(reader, 0, size, count)


def _joined(digits: Bytes, size: int, group: int) -> Bytes:
    padded = np.append(digits, np.zeros(-len(digits) % group, np.uint8))
    powers = size ** np.arange(group)
    return (padded.reshape(-1, group) @ powers).astype(np.uint8)


def _read_digits(reader: ByteReader, lowest: int, size: int, count: int) -> Bytes:
    """Return digits plus ``lowest``, modulo 256."""
    group = reader.byte()
    if not (0 < group <= _MOST_TOGETHER and size**group <= _SYMBOLS):
        raise PayloadError(f"values of {size} kinds cannot be {group} a symbol")
    symbols = read_stream(reader, -(-count // group))
    if int(symbols.max()) >= size**group:
        raise PayloadError("values have a symbol that is too large")
    if group == 1:
        return symbols + np.uint8(lowest & 255)
    codes: Bytes = _table(lowest, size, group)[symbols].reshape(-1)
    return codes[:count]


@lru_cache(maxsize=16)
def _table(lowest: int, size: int, group: int) -> Bytes:
    """Return the codes of each symbol, shape (symbols, group)."""
    digits = np.arange(size**group)[:, None] // size ** np.arange(group) % size
    return (digits + lowest & 255).astype(np.uint8)
