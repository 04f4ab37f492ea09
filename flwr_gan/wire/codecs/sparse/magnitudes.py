"""Magnitude bins for 32-bit whole numbers: small ones exact, large ones by length and raw bits."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs import compiled
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.pieces import Pieces
from flwr_gan.wire.codecs.sparse.bits import Bytes, pack_bits, unpack_bits
from flwr_gan.wire.codecs.sparse.streams import read_stream, write_stream
from flwr_gan.wire.codecs.varint import ByteReader

_FINE_BITS = 3


def write_magnitudes(parts: Sequence[Array]) -> Pieces:
    """Code uint32 numbers, joined, as one block: a symbol each, then the raw bits of all."""
    symbols, packed = _split(parts[0] if len(parts) == 1 else np.concatenate(parts))
    ends = np.cumsum([len(part) for part in parts])[:-1]
    return Pieces([write_stream(np.split(symbols, ends)), packed])


def _split(numbers: Array) -> tuple[Bytes, bytes]:
    loops = compiled.kernels()
    if loops is not None:
        symbols = np.empty(len(numbers), np.uint8)
        buffer = np.empty(4 * len(numbers) + 8, np.uint8)
        bits = loops.split_magnitudes(np.ascontiguousarray(numbers, np.uint32), symbols, buffer)
        return symbols, buffer[: (bits + 7) // 8].tobytes()
    with compiled.slow_part():
        raw = _raw_bits(numbers)
        offset = np.where(raw, (raw + 1) << _FINE_BITS, 0)
        leading = (np.uint32(1) << _FINE_BITS) - 1
        wide = np.where(raw, (numbers >> raw) & leading, numbers) + offset
        ones = (np.uint64(1) << raw.astype(np.uint64)) - np.uint64(1)
        rest = numbers.astype(np.uint64) & ones
        return wide.astype(np.uint8), pack_bits(rest, raw.astype(np.int64))


def _raw_bits(numbers: Array) -> Array:
    length = np.frexp(numbers.astype(np.float64))[1]
    raw: Array = np.maximum(length - 1 - _FINE_BITS, 0).astype(np.uint32)
    return raw


def read_magnitudes(reader: ByteReader, count: int, dtype: np.dtype[Any]) -> Array:
    """Read a block of ``count`` numbers, or raise ``PayloadError``."""
    symbols = read_stream(reader, count)
    if int(symbols.max()) >= len(_TOPS):
        raise PayloadError("values have a symbol that is too large")
    widths = _WIDTHS.take(symbols)
    packed = reader.take((int(widths.sum()) + 7) // 8)
    loops = compiled.kernels()
    if loops is not None:
        numbers = np.empty(count, np.uint32)
        loops.join_magnitudes(symbols, np.frombuffer(packed, np.uint8), numbers)
    else:
        with compiled.slow_part():
            numbers = _TOPS.take(symbols)
            numbers |= unpack_bits(bytes(packed), widths).astype(np.uint32)
    return numbers.astype(dtype, copy=False)


def _tables() -> tuple[Array, Array]:
    """Return for each symbol the number of raw bits that follow, and the value without them."""
    symbols = np.arange((33 - _FINE_BITS) << _FINE_BITS)
    widths = np.maximum(symbols >> _FINE_BITS, 1) - 1
    size = 1 << _FINE_BITS
    tops = np.where(widths, symbols % size + size, symbols) << widths
    return widths, tops.astype(np.uint32)


_WIDTHS, _TOPS = _tables()
