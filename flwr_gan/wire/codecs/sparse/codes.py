"""int8 codes: as bytes, grouped into symbols, or without their lowest bits.

A table of frequencies also costs bits. With few codes, their low bits may stay raw, so that the
table is shorter. With few distinct codes, several make one symbol, whose frequencies then include
the dependence between neighbours.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.pieces import Pieces
from flwr_gan.wire.codecs.sparse.bits import Bytes, pack_fixed, unpack_fixed
from flwr_gan.wire.codecs.sparse.streams import byte_counts, read_stream, write_stream
from flwr_gan.wire.codecs.sparse.tables import entropy_bits
from flwr_gan.wire.codecs.varint import ByteReader

_SIGN = np.uint8(0x80)
_MANY = 1 << 16
_MOST_RAW, _MOST_TOGETHER = 4, 8
_TOGETHER = 0x10
_SYMBOL_BITS = 10
"""Estimated bits of a symbol in a table."""


def write_codes(parts: Sequence[Array]) -> Pieces:
    """Code int8 codes, joined, as one block: a byte for the form, then one or two streams.

    They are divided into parts whose statistics may differ.
    """
    # Codes lie around zero; an offset makes them neighbours as bytes.
    symbols = [part.view(np.uint8) ^ _SIGN for part in parts]
    joined = symbols[0] if len(symbols) == 1 else np.concatenate(symbols)
    if len(joined) >= _MANY:
        return Pieces([b"\0", write_stream(symbols)])
    raw, bits = _best_raw_bits(joined)
    lowest = int(joined.min())
    kinds = int(joined.max()) - lowest + 1
    ends = np.cumsum([len(part) for part in parts])[:-1]
    best, best_bits = None, bits
    for group in range(2, _MOST_TOGETHER + 1):
        if kinds == 1 or kinds**group > 256:
            break
        found = _grouped(joined - np.uint8(lowest), kinds, group)
        bits = _bits(byte_counts(found))
        if bits < best_bits:
            best, best_bits = (group, found), bits
    if best is not None:
        group, found = best
        head = bytes([_TOGETHER | group, lowest, kinds])
        return Pieces([head, write_stream(np.split(found, ends // group))])
    if not raw:
        return Pieces([b"\0", write_stream(symbols)])
    upper = [(part >> raw).astype(np.uint8) for part in symbols]
    lower = np.frombuffer(pack_fixed(joined, raw), np.uint8)
    return Pieces([bytes([raw]), write_stream(upper), write_stream([lower])])


def read_codes(reader: ByteReader, count: int, dtype: np.dtype[Any]) -> Array:
    """Read a block of ``count`` codes, or raise ``PayloadError``."""
    how = reader.byte()
    if how & _TOGETHER:
        symbols = _read_grouped(reader, how & ~_TOGETHER, count)
    elif how > _MOST_RAW:
        raise PayloadError(f"codes are written in a way, {how}, that this version does not know")
    else:
        symbols = read_stream(reader, count)
        if how:
            if int(symbols.max()) >> (8 - how):
                raise PayloadError("codes have a symbol that is too large")
            packed = read_stream(reader, -(-count * how // 8)).tobytes()
            symbols = (symbols << how).astype(np.uint8) | unpack_fixed(packed, how, count)
    codes: Array = (symbols ^ _SIGN).view(dtype)
    return codes


def _read_grouped(reader: ByteReader, group: int, count: int) -> Bytes:
    lowest, kinds = reader.take(2)
    if not (1 < group <= _MOST_TOGETHER and kinds > 1 and kinds**group <= 256):
        raise PayloadError(f"codes of {kinds} kinds cannot be {group} a symbol")
    if lowest + kinds > 256:
        raise PayloadError(f"codes of {kinds} kinds cannot begin with {lowest}")
    symbols = read_stream(reader, -(-count // group))
    if int(symbols.max()) >= kinds**group:
        raise PayloadError("codes have a symbol that is too large")
    found: Bytes = _digits(kinds, group)[symbols].reshape(-1)[:count] + np.uint8(lowest)
    return found


def _best_raw_bits(symbols: Bytes) -> tuple[int, float]:
    """Return the number of low bits to leave raw, and the estimated bits in total."""
    counts = byte_counts(symbols)
    bits = []
    for raw in range(_MOST_RAW + 1):
        bits.append(_bits(counts) + raw * len(symbols))
        counts = counts.reshape(-1, 2).sum(axis=1)
    best = int(np.argmin(bits))
    return best, bits[best]


def _bits(counts: Array) -> float:
    return entropy_bits(counts) + _SYMBOL_BITS * int(np.count_nonzero(counts))


def _grouped(digits: Bytes, kinds: int, group: int) -> Bytes:
    padded = np.append(digits, np.zeros(-len(digits) % group, np.uint8))
    powers = kinds ** np.arange(group)
    return (padded.reshape(-1, group) @ powers).astype(np.uint8)


@lru_cache(maxsize=16)
def _digits(kinds: int, group: int) -> Bytes:
    """Return the digits of each symbol, shape (symbols, group)."""
    digits = np.arange(kinds**group)[:, None] // kinds ** np.arange(group) % kinds
    return digits.astype(np.uint8)
