"""Bins: keys of 32 or 16 bits, each a symbol and raw bits; or a palette.

A palette lists the D distinct keys of a block once; each key is then its index in that list. It
pays for weights on a grid, such as those of networks trained with 8 bits or with three values. The
check is cheap: if a small sample has almost no repeated value, a palette cannot pay.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs import compiled
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.pieces import Pieces
from flwr_gan.wire.codecs.sparse.bits import Bytes, pack_fixed, unpack_fixed
from flwr_gan.wire.codecs.sparse.floats import float_keys, float_values
from flwr_gan.wire.codecs.sparse.magnitudes import read_magnitudes, write_magnitudes
from flwr_gan.wire.codecs.sparse.streams import (
    every,
    read_stream,
    spread,
    write_byte_planes,
    write_stream,
)
from flwr_gan.wire.codecs.sparse.tables import entropy_bits
from flwr_gan.wire.codecs.varint import ByteReader, write_varint

PALETTE = 0xFF
"""Marker instead of the number of raw bits: a palette follows."""

_MANY = 1 << 18
"""From this many keys on, they are split into bytes, which is fast; below, by the best bins."""

MOST_BYTES = 256
"""Up to this many palette keys, an index is a byte; above, a key of 16 bits."""

_SAMPLE = 512
_LEAST_PAIRS = 2
_SORTED = 1 << 16
_MANY_PAIRS, _SHORT_PAIRS = 16, 128
"""Above this many keys, all are sorted only if a palette is likely; for short floats, whose low
bits are zero and cost nothing in bins, only if it is almost certain."""

_LEAST_USES = 2


def write_bins(parts: Sequence[Array]) -> Pieces:
    """Code keys, joined, as one block: by bins, or by a palette if that is shorter.

    Keys are uint32 or uint16, or float32, of which their ``float_keys`` are coded; they are divided
    into parts whose statistics may differ.
    """
    floats = parts[0].dtype == np.float32
    bits = [part.view(np.uint32) for part in parts] if floats else parts
    palette = distinct_keys(bits)
    if palette is None and floats and sum(map(len, parts)) >= _MANY:
        return _write_floats(bits)
    joined = parts[0] if len(parts) == 1 else np.concatenate(parts)
    ends = np.cumsum([len(part) for part in parts])[:-1]
    keys = float_keys(joined) if floats else joined
    coded = _write_binned(keys, ends)
    if palette is None:
        return coded
    palette = np.sort(float_keys(palette.view(np.float32))) if floats else palette
    places = np.searchsorted(palette, keys)
    lead = Pieces([bytes([PALETTE]), write_palette(palette)])
    if len(palette) > MOST_BYTES:
        lead += _write_binned(places.astype(np.uint16), ends)
    elif len(palette) > 1:
        lead += write_stream(np.split(places.astype(np.uint8), ends))
    return min(coded, lead, key=len)


@dataclass(frozen=True)
class FloatPlanes:
    """float32 numbers as the bytes of their keys, highest first: four arrays of uint8, (n,)."""

    planes: tuple[Bytes, ...]

    def __len__(self) -> int:
        return len(self.planes[0])

    def __getitem__(self, part: slice) -> "FloatPlanes":
        return FloatPlanes(tuple(plane[part] for plane in self.planes))

    def join(self, out: Array) -> None:
        """Write the numbers to ``out``, float32, shape (n,)."""
        first, second, third, fourth = self.planes
        loops = compiled.kernels()
        if loops is not None:
            loops.join_floats(first, second, third, fourth, out.view(np.uint32))
            return
        octets = out.view(np.uint8).reshape(-1, 4)
        octets[:, 0], octets[:, 1] = fourth, third
        octets[:, 2] = first << 7 | second & 0x7F
        octets[:, 3] = first >> 1 | second & 0x80


def _read_floats(reader: ByteReader, count: int) -> Array | FloatPlanes:
    raw = reader.byte()
    if raw != 24:
        return float_values(_read_bins(reader, raw, count, np.dtype("<u4")))
    lowest = reader.varint(limit=255)
    symbols = _read_symbols(reader, count, lowest, 8)
    first = symbols + np.uint8(lowest) if lowest else symbols
    return FloatPlanes((first, *(read_stream(reader, count) for _ in range(3))))


def read_bins(reader: ByteReader, count: int, dtype: np.dtype[Any]) -> Array | FloatPlanes:
    """Read a block of ``count`` keys, or of float32 numbers, or raise ``PayloadError``."""
    if dtype.kind == "f":
        return _read_floats(reader, count)
    return _read_bins(reader, reader.byte(), count, dtype)


def _read_bins(reader: ByteReader, raw: int, count: int, dtype: np.dtype[Any]) -> Array:
    if raw != PALETTE:
        return _read_binned(reader, raw, count, dtype)
    palette = read_palette(reader, count, dtype)
    if len(palette) == 1:
        return np.full(count, palette[0])
    places = (
        read_stream(reader, count)
        if len(palette) <= MOST_BYTES
        else _read_binned(reader, reader.byte(), count, np.dtype("<u2"))
    )
    if int(places.max()) >= len(palette):
        raise PayloadError("values have a place that their palette does not have")
    return palette[places]


def _write_floats(parts: Sequence[Array]) -> Pieces:
    """Code the keys of many floats with 24 raw bits; the symbols are their exponents."""
    count = sum(map(len, parts))
    exponents = write_stream([_plane(part, 3) for part in parts], beside=3 * count)
    # The lower bytes can seldom be made shorter.
    some = spread(*parts)
    samples = [_plane(some, byte) for byte in _LOWER]
    lower = write_byte_planes(count, samples, lambda planes: _lower_planes_to(parts, planes))
    return Pieces([bytes([24, 0]), exponents, lower])


_LOWER = (2, 1, 0)


def _lower_planes_to(parts: Sequence[Array], planes: Mapping[int, Bytes]) -> None:
    """Write some of the three lower bytes of the keys, by their index in ``_LOWER``."""
    loops = compiled.kernels()
    at = 0
    for bits in parts:
        of_part = {place: plane[at : at + len(bits)] for place, plane in planes.items()}
        if loops is not None and len(planes) == len(_LOWER):
            loops.lower_planes(bits, of_part[0], of_part[1], of_part[2])
        else:
            for place, plane in of_part.items():
                _plane_to(bits, _LOWER[place], plane)
        at += len(bits)


def _plane(bits: Array, byte: int) -> Bytes:
    plane = np.empty(len(bits), np.uint8)
    _plane_to(bits, byte, plane)
    return plane


_OF_BYTE = ((0, 255, 0), (8, 255, 0), (16, 127, 128), (23, 255, 0))
"""For each byte of a key: the shift of the bits, the mask after it, and the sign's mask."""


def _plane_to(bits: Array, byte: int, plane: Bytes) -> None:
    """Write a byte of the keys of uint32 ``bits``, 0 the lowest; see ``float_keys``."""
    loops = compiled.kernels()
    if loops is not None:
        loops.float_plane(bits, *_OF_BYTE[byte], plane)
    elif byte == 3:
        plane[:] = bits >> 23
    else:
        octets = bits.view(np.uint8)
        plane[:] = octets[byte::4]
        if byte == 2:
            plane &= 0x7F
            plane |= octets[3::4] & 0x80


def _write_binned(keys: Array, ends: Any) -> Pieces:
    bits = 8 * keys.dtype.itemsize
    raw = bits - 8 if len(keys) >= _MANY else _raw_bits(keys, bits)
    tops = keys >> raw
    lowest = int(tops.min())
    symbols = (tops - lowest).astype(np.uint8)
    coded = Pieces([bytes([raw]), write_varint(lowest)])
    coded += write_stream(np.split(symbols, ends))
    if raw % 8:
        packed = pack_fixed((keys >> (raw - raw % 8)).astype(np.uint8), raw % 8)
        coded += write_stream([np.frombuffer(packed, np.uint8)])
    for plane in range(raw // 8 - 1, -1, -1):
        coded += write_stream([(keys >> 8 * plane).astype(np.uint8)])
    return coded


def _raw_bits(keys: Array, bits: int) -> int:
    """Return the number of low bits to leave raw, so that the rest makes good symbols."""
    finest = bits - 14
    histogram = np.bincount(keys >> finest, minlength=1 << 14)
    best, best_bits = bits - 8, float("inf")
    for raw in range(finest, bits - 7):
        used = np.flatnonzero(histogram)
        if used[-1] - used[0] < 256:
            counts = histogram[used]
            cost = round(entropy_bits(counts)) + raw * len(keys) + 7 * len(used)
            if cost < best_bits:
                best, best_bits = raw, cost
        histogram = histogram.reshape(-1, 2).sum(axis=1)
    return best


def _read_symbols(reader: ByteReader, count: int, lowest: int, bits: int) -> Bytes:
    symbols = read_stream(reader, count)
    if lowest + int(symbols.max()) >> bits:
        raise PayloadError("values have a symbol that is too large")
    return symbols


def _read_binned(reader: ByteReader, raw: int, count: int, dtype: np.dtype[Any]) -> Array:
    bits = 8 * dtype.itemsize
    if not bits - 14 <= raw <= bits - 8:
        raise PayloadError(f"values have {raw} raw bits of {bits}")
    lowest = reader.varint(limit=(1 << (bits - raw)) - 1)
    symbols = _read_symbols(reader, count, lowest, bits - raw)
    keys: Array = (symbols.astype(dtype) + dtype.type(lowest)) << raw
    if raw % 8:
        packed = read_stream(reader, -(-count * (raw % 8) // 8)).tobytes()
        middle = unpack_fixed(packed, raw % 8, count)
        keys |= middle.astype(dtype) << (raw - raw % 8)
    planes = keys.view(np.uint8).reshape(count, -1)
    for plane in range(raw // 8 - 1, -1, -1):
        planes[:, plane] = read_stream(reader, count)
    return keys


def distinct_keys(parts: Sequence[Array]) -> Array | None:
    """Return the distinct keys of a block, ascending; None if too many for a palette to pay."""
    count = sum(map(len, parts))
    sample = np.sort(every(parts, max(1, count // _SAMPLE)))
    least = _LEAST_PAIRS
    if count >= _SORTED:
        least = _MANY_PAIRS if np.bitwise_or.reduce(sample) & 255 else _SHORT_PAIRS
    if np.count_nonzero(sample[1:] == sample[:-1]) < least:
        return None
    ordered = np.sort(np.concatenate(parts))
    first = np.empty(len(ordered), bool)
    first[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    palette = ordered[first]
    few = _LEAST_USES * len(palette) <= count and len(palette) <= 1 << 16
    return palette if few else None


def write_palette(palette: Array) -> Pieces:
    """Code D - 1, the first key, and the difference of each other key to the one before."""
    first = int(palette[0])
    coded = Pieces([write_varint(len(palette) - 1), write_varint(first)])
    if len(palette) > 1:
        coded += write_magnitudes([(palette[1:] - palette[:-1] - 1).astype(np.uint32)])
    return coded


def read_palette(reader: ByteReader, count: int, dtype: np.dtype[Any]) -> Array:
    """Read the palette of a block of ``count`` keys, or raise ``PayloadError``."""
    size = reader.varint(limit=min(count, 1 << 16) - 1) + 1
    highest = (1 << 8 * dtype.itemsize) - 1
    keys = np.empty(size, np.int64)
    keys[0] = reader.varint(limit=highest)
    if size > 1:
        steps = read_magnitudes(reader, size - 1, np.dtype("<u4"))
        np.cumsum(steps.astype(np.int64) + 1, out=keys[1:])
        keys[1:] += keys[0]
    if keys[-1] > highest:
        raise PayloadError("a palette has a key that is too large")
    return keys.astype(dtype)
