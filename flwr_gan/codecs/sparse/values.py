"""Numbers in blocks: by bins, by pcodec, by magnitude bins or by radix.

All codings work on blocks of at most ``BLOCK`` numbers, so a decoder's memory stays small.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from flwr_gan.codecs.pcodec_codec import compress_numbers, decompress_numbers, pcodec_module
from flwr_gan.codecs.sparse.bins import read_bins, write_bins
from flwr_gan.codecs.sparse.magnitudes import read_magnitudes, write_magnitudes
from flwr_gan.codecs.sparse.radix import read_radix, write_radix
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
_FEW_PAIRS = 2


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


def _write_pcodec(parts: list[Values]) -> bytes:
    numbers = np.concatenate(parts)
    # Where there are many numbers, finer bins pay for the table that describes them.
    level = _PCODEC_LEVEL if len(numbers) < _PCODEC_LONG else _PCODEC_LEVEL_LONG
    blob = compress_numbers(numbers, level=level, plain=is_continuous(numbers))
    return write_varint(len(blob)) + blob


def is_continuous(numbers: Values) -> bool:
    """Return True if a sample shows neither repeated numbers nor unused low bits.

    Then there is no structure that pcodec's search, which takes most of its time, could find.
    """
    sample = numbers[:: max(1, len(numbers) // _SAMPLE)].view(np.uint32)
    low_bits = int(np.bitwise_or.reduce(sample)) & 255
    return bool(low_bits) and len(sample) - len(np.unique(sample)) < _FEW_PAIRS


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
    BINS: write_bins,
    PCODEC: _write_pcodec,
    MAGNITUDE_BINS: write_magnitudes,
    RADIX: write_radix,
}
_READERS = {
    BINS: read_bins,
    PCODEC: _read_pcodec,
    MAGNITUDE_BINS: read_magnitudes,
    RADIX: read_radix,
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
