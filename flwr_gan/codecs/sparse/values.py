"""The values of the survivors: each split into a symbol that is Huffman-coded and raw bits.

All codings work on blocks of at most ``BLOCK`` values, so a decoder's memory stays small.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from flwr_gan.codecs.pcodec_codec import compress_numbers, decompress_numbers, pcodec_module
from flwr_gan.codecs.sparse.bits import (
    Bytes,
    pack_bits,
    pack_fixed,
    unpack_bits,
    unpack_fixed,
)
from flwr_gan.codecs.sparse.huffman import block_bits
from flwr_gan.codecs.sparse.streams import open_stream, write_stream
from flwr_gan.codecs.varint import ByteReader, write_varint
from flwr_gan.errors import CodecError, PayloadError

Values = np.ndarray[Any, np.dtype[Any]]

BINS, PCODEC, MAGNITUDE_BINS, RADIX = 0, 1, 2, 3
"""Value codings on the wire (permanent)."""

CODING_NAMES = ("bins", "pcodec", "magnitude bins", "radix")

BLOCK = 1 << 17
_PCODEC_LEVEL = 8
_PCODEC_LEVEL_LONG = 10
_PCODEC_LONG = 1 << 15
_SAMPLE = 1 << 9
_FINE_BITS = 3


def write_values(layers: Sequence[Values], coding: int) -> bytes:
    """Code the survivors of all layers, in order.

    Parameters
    ----------
    layers : sequence of numpy.ndarray, 1-D, of one dtype
        uint32 or uint16 keys for bins (floats with their bits turned, see ``float_keys``), int32
        or float32 for pcodec, uint32 for magnitude bins, int8 for radix.
    coding : int
        One of the value codings.
    """
    if coding == PCODEC:
        pcodec_module()
    return b"".join(_WRITERS[coding](block) for block in _blocks(layers))


def _blocks(layers: Sequence[Values]) -> list[list[Values]]:
    """Divide the layers' values into blocks; a block is a list of parts, one a layer."""
    blocks: list[list[Values]] = []
    space = 0
    for layer in layers:
        at = 0
        while at < len(layer):
            if not space:
                blocks.append([])
                space = BLOCK
            part = layer[at : at + space]
            blocks[-1].append(part)
            at += len(part)
            space -= len(part)
    return blocks


def _write_bins(parts: list[Values]) -> bytes:
    keys = np.concatenate(parts)
    bits = 8 * keys.dtype.itemsize
    raw = _raw_bits(keys, bits)
    tops = keys >> raw
    lowest = int(tops.min())
    ends = np.cumsum([len(part) for part in parts])[:-1]
    symbols = (tops - lowest).astype(np.uint8)
    coded = bytes([raw]) + write_varint(lowest) + write_stream(np.split(symbols, ends))
    if raw % 8:
        coded += _write_packed((keys >> (raw - raw % 8)).astype(np.uint8), raw % 8)
    planes = keys.view(np.uint8).reshape(len(keys), -1)
    for plane in range(raw // 8 - 1, -1, -1):
        coded += write_stream([np.ascontiguousarray(planes[:, plane])])
    return coded


def _raw_bits(keys: Values, bits: int) -> int:
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


def _read_bins(reader: ByteReader, count: int, dtype: np.dtype[Any]) -> Values:
    bits = 8 * dtype.itemsize
    raw = reader.byte()
    if not bits - 14 <= raw <= bits - 8:
        raise PayloadError(f"values have {raw} raw bits of {bits}")
    lowest = reader.varint(limit=(1 << (bits - raw)) - 1)
    symbols = _read_all(reader, count)
    if lowest + int(symbols.max()) >> (bits - raw):
        raise PayloadError("values have a symbol that is too large")
    keys: Values = (symbols.astype(dtype) + dtype.type(lowest)) << raw
    if raw % 8:
        packed = _read_all(reader, -(-count * (raw % 8) // 8)).tobytes()
        middle = unpack_fixed(packed, raw % 8, count)
        keys |= middle.astype(dtype) << (raw - raw % 8)
    planes = keys.view(np.uint8).reshape(count, -1)
    for plane in range(raw // 8 - 1, -1, -1):
        planes[:, plane] = _read_all(reader, count)
    return keys


def _write_packed(values: Bytes, width: int) -> bytes:
    return write_stream([np.frombuffer(pack_fixed(values, width), np.uint8)])


def _read_all(reader: ByteReader, count: int) -> Bytes:
    stream = open_stream(reader)
    data = stream.read(count)
    stream.finish()
    return np.frombuffer(data, np.uint8)


def _write_magnitude_bins(parts: list[Values]) -> bytes:
    numbers = np.concatenate(parts)
    raw = _magnitude_raw_bits(numbers)
    offset = np.where(raw, (raw + 1) << _FINE_BITS, 0)
    leading = (np.uint32(1) << _FINE_BITS) - 1
    symbols = np.where(raw, (numbers >> raw) & leading, numbers) + offset
    ends = np.cumsum([len(part) for part in parts])[:-1]
    coded = write_stream(np.split(symbols.astype(np.uint8), ends))
    rest = numbers.astype(np.uint64) & ((np.uint64(1) << raw.astype(np.uint64)) - np.uint64(1))
    packed = pack_bits(rest, raw.astype(np.int64))
    return coded + packed


def _magnitude_raw_bits(numbers: Values) -> Values:
    length = np.frexp(numbers.astype(np.float64))[1]
    raw: Values = np.maximum(length - 1 - _FINE_BITS, 0).astype(np.uint32)
    return raw


def _read_magnitude_bins(reader: ByteReader, count: int, dtype: np.dtype[Any]) -> Values:
    symbols = _read_all(reader, count).astype(np.intp)
    if int(symbols.max()) >= len(_MAGNITUDE_TOPS):
        raise PayloadError("values have a symbol that is too large")
    widths = _MAGNITUDE_WIDTHS.take(symbols)
    packed = bytes(reader.take((int(widths.sum()) + 7) // 8))
    numbers: Values = _MAGNITUDE_TOPS.take(symbols)
    numbers |= unpack_bits(packed, widths).astype(np.uint32)
    return numbers


def _magnitude_tables() -> tuple[Values, Values]:
    """Return for each symbol how many raw bits follow, and the number without them."""
    symbols = np.arange((33 - _FINE_BITS) << _FINE_BITS)
    widths = np.maximum(symbols >> _FINE_BITS, 1) - 1
    size = 1 << _FINE_BITS
    tops = np.where(widths, symbols % size + size, symbols) << widths
    return widths, tops.astype(np.uint32)


_MAGNITUDE_WIDTHS, _MAGNITUDE_TOPS = _magnitude_tables()


def _write_radix(parts: list[Values]) -> bytes:
    codes = np.concatenate(parts)
    lowest = int(codes.min())
    size = int(codes.max()) - lowest + 1
    digits = (codes - np.int16(lowest)).astype(np.uint8)
    together = {1: digits}
    while size > 1 and size ** (len(together) + 1) <= 256:
        together[len(together) + 1] = _join_digits(digits, size, len(together) + 1)
    # More digits a symbol waste less of a bit each, but take a longer table.
    group = min(together, key=lambda many: (block_bits(together[many]), many))
    ends = np.cumsum([len(part) for part in parts])[:-1] // group
    head = bytes([lowest & 255, size - 1, group])
    return head + write_stream(np.split(together[group], ends))


def _join_digits(digits: Bytes, size: int, group: int) -> Bytes:
    padded = np.append(digits, np.zeros(-len(digits) % group, np.uint8))
    powers = size ** np.arange(group)
    return (padded.reshape(-1, group) @ powers).astype(np.uint8)


def _read_radix(reader: ByteReader, count: int, dtype: np.dtype[Any]) -> Values:
    lowest, size, group = reader.take(3)
    lowest, size = lowest - 256 * (lowest > 127), size + 1
    if not (0 < group <= 8 and size**group <= 256) or lowest + size > 128:
        raise PayloadError(f"values of {size} kinds cannot be {group} a symbol")
    symbols = _read_all(reader, -(-count // group))
    if int(symbols.max()) >= size**group:
        raise PayloadError("values have a symbol that is too large")
    if group == 1:
        ones: Values = (symbols + np.uint8(lowest & 255)).view(np.int8)
        return ones.astype(dtype, copy=False)
    codes: Values = _radix_table(lowest, size, group).astype(dtype)[symbols].reshape(-1)
    return codes[:count]


@lru_cache(maxsize=16)
def _radix_table(lowest: int, size: int, group: int) -> Values:
    """Return the codes of each symbol, shape (symbols, group)."""
    return np.arange(size**group)[:, None] // size ** np.arange(group) % size + lowest


def _write_pcodec(parts: list[Values]) -> bytes:
    numbers = np.concatenate(parts)
    # Where there are many numbers, finer bins pay for the table that describes them.
    level = _PCODEC_LEVEL if len(numbers) < _PCODEC_LONG else _PCODEC_LEVEL_LONG
    blob = compress_numbers(numbers, level=level, plain=_is_continuous(numbers))
    return write_varint(len(blob)) + blob


def _is_continuous(numbers: Values) -> bool:
    """Return True if a sample shows neither repeated numbers nor unused low bits.

    Then there is no structure that pcodec's search, which takes most of its time, could find.
    """
    sample = numbers[:: max(1, len(numbers) // _SAMPLE)].view(np.uint32)
    low_bits = int(np.bitwise_or.reduce(sample)) & 255
    return bool(low_bits) and 4 * len(np.unique(sample)) > 3 * len(sample)


def _read_pcodec(reader: ByteReader, count: int, dtype: np.dtype[Any]) -> Values:
    blob = bytes(reader.take(reader.varint(limit=reader.left)))
    try:
        pcodec_module()
    except CodecError as error:
        raise PayloadError(f"payload has values in pcodec: {error}") from error
    numbers = np.empty(count, dtype)
    decompress_numbers(blob, numbers)
    return numbers


_WRITERS = {
    BINS: _write_bins,
    PCODEC: _write_pcodec,
    MAGNITUDE_BINS: _write_magnitude_bins,
    RADIX: _write_radix,
}
_READERS = {
    BINS: _read_bins,
    PCODEC: _read_pcodec,
    MAGNITUDE_BINS: _read_magnitude_bins,
    RADIX: _read_radix,
}


class ValueReader:
    """Reads back what ``write_values`` wrote, any number of values at a time.

    Parameters
    ----------
    reader : ByteReader
        Where the coded values begin.
    coding : int
        One of the value codings.
    dtype : numpy.dtype
        Type of the values.
    total : int
        How many there are.
    """

    def __init__(
        self, reader: ByteReader, *, coding: int, dtype: np.dtype[Any], total: int
    ) -> None:
        self._reader = reader
        self._read_block = _READERS[coding]
        self._dtype = dtype
        self._left = total
        self._block: Values = np.empty(0, dtype)

    def read(self, count: int) -> Values:
        """Return the next ``count`` values, or raise ``PayloadError`` if there are fewer."""
        if count > self._left + len(self._block):
            raise PayloadError("the mask has more survivors than there are values")
        parts = []
        while count:
            if not len(self._block):
                size = min(self._left, BLOCK)
                self._block = self._read_block(self._reader, size, self._dtype)
                self._left -= size
            parts.append(self._block[:count])
            self._block = self._block[count:]
            count -= len(parts[-1])
        return parts[0] if len(parts) == 1 else np.concatenate(parts or [self._block[:0]])

    def finish(self) -> None:
        """Raise ``PayloadError`` if values are left."""
        if self._left or len(self._block):
            raise PayloadError("there are more values than the mask has survivors")
