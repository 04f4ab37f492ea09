"""Bins: keys of 32 or 16 bits, each a symbol that is Huffman-coded and raw bits; or a palette."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from flwr_gan.codecs.sparse.bits import Bytes, pack_fixed, unpack_fixed
from flwr_gan.codecs.sparse.palette import (
    MOST_DIGITS,
    distinct_keys,
    read_palette,
    read_places,
    write_palette,
    write_places,
)
from flwr_gan.codecs.sparse.streams import read_stream, write_stream
from flwr_gan.codecs.varint import ByteReader, write_varint
from flwr_gan.errors import PayloadError

Keys = np.ndarray[Any, np.dtype[Any]]

PALETTE = 0xFF
"""In the place of the number of raw bits: a palette follows."""


def write_bins(parts: Sequence[Keys]) -> bytes:
    """Code uint32 or uint16 keys, joined, as one block, by bins or a palette if that is shorter."""
    keys = np.concatenate(parts)
    ends = np.cumsum([len(part) for part in parts])[:-1]
    coded = _write_binned(keys, ends)
    palette = distinct_keys(keys)
    if palette is None:
        return coded
    lead = bytes([PALETTE]) + write_palette(palette)
    if len(palette) <= MOST_DIGITS:
        places = write_places(palette, list(parts))
    else:
        places = _write_binned(np.searchsorted(palette, keys).astype(np.uint16), ends)
    return min(coded, lead + places, key=len)


def read_bins(reader: ByteReader, count: int, dtype: np.dtype[Any]) -> Keys:
    """Read a block of ``count`` keys, or raise ``PayloadError``."""
    raw = reader.byte()
    if raw != PALETTE:
        return _read_binned(reader, raw, count, dtype)
    palette = read_palette(reader, count, dtype)
    if len(palette) <= MOST_DIGITS:
        return palette[read_places(reader, len(palette), count)]
    places = _read_binned(reader, reader.byte(), count, np.dtype("<u2"))
    if int(places.max()) >= len(palette):
        raise PayloadError("values have a place that their palette does not have")
    return palette[places]


def _write_binned(keys: Keys, ends: Any) -> bytes:
    bits = 8 * keys.dtype.itemsize
    raw = _raw_bits(keys, bits)
    tops = keys >> raw
    lowest = int(tops.min())
    symbols = (tops - lowest).astype(np.uint8)
    coded = bytes([raw]) + write_varint(lowest) + write_stream(np.split(symbols, ends))
    if raw % 8:
        coded += _write_packed((keys >> (raw - raw % 8)).astype(np.uint8), raw % 8)
    planes = keys.view(np.uint8).reshape(len(keys), -1)
    for plane in range(raw // 8 - 1, -1, -1):
        coded += write_stream([np.ascontiguousarray(planes[:, plane])])
    return coded


def _raw_bits(keys: Keys, bits: int) -> int:
    """Return how many low bits to leave uncoded, so that the rest makes good symbols."""
    finest = bits - 14
    histogram = np.bincount(keys >> finest, minlength=1 << 14)
    best, best_bits = bits - 8, float("inf")
    for raw in range(finest, bits - 7):
        used = np.flatnonzero(histogram)
        if used[-1] - used[0] < 256:
            counts = histogram[used]
            symbol_bits = np.maximum(np.log2(len(keys) / counts), 1)
            cost = round(float((counts * symbol_bits).sum())) + raw * len(keys) + 5 * len(used)
            if cost < best_bits:
                best, best_bits = raw, cost
        histogram = histogram.reshape(-1, 2).sum(axis=1)
    return best


def _read_binned(reader: ByteReader, raw: int, count: int, dtype: np.dtype[Any]) -> Keys:
    bits = 8 * dtype.itemsize
    if not bits - 14 <= raw <= bits - 8:
        raise PayloadError(f"values have {raw} raw bits of {bits}")
    lowest = reader.varint(limit=(1 << (bits - raw)) - 1)
    symbols = read_stream(reader, count)
    if lowest + int(symbols.max()) >> (bits - raw):
        raise PayloadError("values have a symbol that is too large")
    keys: Keys = (symbols.astype(dtype) + dtype.type(lowest)) << raw
    if raw % 8:
        packed = read_stream(reader, -(-count * (raw % 8) // 8)).tobytes()
        middle = unpack_fixed(packed, raw % 8, count)
        keys |= middle.astype(dtype) << (raw - raw % 8)
    planes = keys.view(np.uint8).reshape(count, -1)
    for plane in range(raw // 8 - 1, -1, -1):
        planes[:, plane] = read_stream(reader, count)
    return keys


def _write_packed(values: Bytes, width: int) -> bytes:
    return write_stream([np.frombuffer(pack_fixed(values, width), np.uint8)])
