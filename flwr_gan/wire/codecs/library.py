"""Codecs of compression libraries, which see only bytes: one stream of all arrays.

A codec of this kind is a row of the table at the end, or a subclass of ``GeneralCodec``.
"""

import bz2
import io
import lzma
import zlib
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire.codecs.arrays import Array, ArraySpec
from flwr_gan.wire.codecs.base import BytesCodec
from flwr_gan.wire.codecs.varint import ByteReader

PIECE_BYTES = 1 << 18
"""Decoded bytes requested at a time, so that a decompression bomb costs no more than this."""

_LARGEST_WINDOW = 1 << 23
_SMALLEST_LZMA_WINDOW, _SMALLEST_ZSTD_WINDOW = 1 << 12, 1 << 10


class Decompressor(Protocol):
    """Gives the decoded bytes of a stream piece by piece."""

    def read(self, size: int) -> bytes:
        """Return 1 to ``size`` more bytes, or none at the end of the stream."""

    def finish(self) -> None:
        """Raise ``PayloadError`` unless the stream and the data end here."""


class GeneralCodec(BytesCodec):
    """A codec for any bytes: those of all arrays, one after the other, are one stream."""

    @abstractmethod
    def compress(self, data: bytes) -> bytes:
        """Return ``data`` coded; the same bytes for the same data and library version."""

    @abstractmethod
    def decompressor(self, data: bytes | memoryview, size: int) -> Decompressor:
        """Open ``data``, which should decode to ``size`` bytes."""

    def write(self, arrays: Sequence[Array]) -> bytes:
        """Code the bytes of all arrays, one after the other."""
        data = b"".join(array.data for array in arrays if array.size)
        return self.compress(data) if data else b""

    def read(self, values: bytes | memoryview, specs: Sequence[ArraySpec]) -> list[Array]:
        """Decode array by array, straight into the memory of the result."""
        total = sum(spec.nbytes for spec in specs)
        if not total:
            if values:
                raise PayloadError(f"{self.name} stream has bytes where no array has any")
            return [np.empty(spec.shape, spec.dtype) for spec in specs]
        stream = self.decompressor(values, total)
        arrays = []
        for spec in specs:
            array = np.empty(spec.shape, spec.dtype)
            _fill(array.reshape(-1).view(np.uint8).data, stream, self.name)
            arrays.append(array)
        stream.finish()
        return arrays


def _fill(target: memoryview, stream: Decompressor, name: str) -> None:
    at = 0
    while at < len(target):
        piece = stream.read(min(PIECE_BYTES, len(target) - at))
        if not piece:
            raise PayloadError(f"{name} stream ends {len(target) - at} bytes early")
        target[at : at + len(piece)] = piece
        at += len(piece)


class WholeStream:
    """A ``Decompressor`` of the codec ``name`` over bytes that are decoded already."""

    def __init__(self, data: bytes, *, name: str) -> None:
        self._reader = ByteReader(data, what=f"{name} stream")

    def read(self, size: int) -> bytes:
        """Return up to ``size`` more bytes."""
        return bytes(self._reader.take(min(size, self._reader.left)))

    def finish(self) -> None:
        """Raise ``PayloadError`` if bytes are left."""
        self._reader.finish()


@dataclass(frozen=True)
class Library:
    """A library's functions for coding: one row of the table.

    ``levels`` are the least, the largest and the default; ``compress`` is given the bytes and the
    level, ``decompressor`` its result and the number of bytes; ``check`` raises
    ``CodecError`` if the library is missing.
    """

    name: str
    wire_id: int
    levels: tuple[int, int, int]
    compress: Callable[[bytes, int], bytes]
    decompressor: Callable[[bytes | memoryview, int], Decompressor]
    check: Callable[[], Any] = tuple

    def from_spec(self, words: tuple[str, ...]) -> "LibraryCodec":
        """Return the codec of the spec ``NAME`` or ``NAME:LEVEL``, or raise ``CodecError``."""
        level = level_of(self.name, words, *self.levels)
        self.check()
        return LibraryCodec(self, level=level)


class LibraryCodec(GeneralCodec):
    """A library's stream. Lossless."""

    def __init__(self, library: Library, *, level: int) -> None:
        self._library = library
        self.name, self.wire_id = library.name, library.wire_id
        self.level = level
        self.spec = f"{library.name}:{level}"

    def compress(self, data: bytes) -> bytes:
        """Return the library's stream of ``data``."""
        return self._library.compress(data, self.level)

    def decompressor(self, data: bytes | memoryview, size: int) -> Decompressor:
        """Open a stream of the library."""
        return self._library.decompressor(data, size)


def level_of(name: str, words: tuple[str, ...], lowest: int, highest: int, default: int) -> int:
    """Return the level in a spec ``name`` or ``name:level``, or raise ``CodecError``."""
    if not words:
        return default
    text = words[0]
    allowed = f"allowed: {name} or {name}:LEVEL with LEVEL from {lowest} to {highest}"
    if len(words) > 1 or not (text.isascii() and text.isdigit() and str(int(text)) == text):
        raise CodecError(f"codec {':'.join((name, *words))!r} cannot be read; {allowed}")
    if not lowest <= int(text) <= highest:
        raise CodecError(f"codec {name}:{text}: level {text} is out of range; {allowed}")
    return int(text)


class _Stepped:
    """Drives a decompressor object of the standard library and translates its errors."""

    def __init__(
        self, name: str, step: Any, errors: type[Exception], data: bytes | memoryview
    ) -> None:
        self._name, self._step, self._errors = name, step, errors
        self._data = memoryview(data)
        self._at = 0
        self._pending = b""

    def read(self, size: int) -> bytes:
        while not self._step.eof:
            try:
                piece: bytes = self._step.decompress(self._pending, size)
            except (self._errors, ValueError) as error:
                raise PayloadError(f"{self._name} stream is damaged: {error}") from error
            # Only zlib gives back input that it has not used before the end.
            self._pending = self._step.unused_data or getattr(self._step, "unconsumed_tail", b"")
            if piece:
                return piece
            if self._step.eof:
                break
            # In pieces, because a library copies the input that it does not use at once.
            more = bytes(self._data[self._at : self._at + PIECE_BYTES])
            if not more:
                raise PayloadError(f"{self._name} stream is truncated")
            self._at += len(more)
            self._pending += more
        return b""

    def finish(self) -> None:
        if self.read(1):
            raise PayloadError(f"{self._name} stream decodes to more bytes than the arrays have")
        behind = len(self._pending) + len(self._data) - self._at
        if behind:
            raise PayloadError(f"{self._name} stream has {behind} bytes behind its end")


def _open_zlib(data: bytes | memoryview, size: int) -> Decompressor:
    return _Stepped("zlib", zlib.decompressobj(), zlib.error, data)


def _open_bz2(data: bytes | memoryview, size: int) -> Decompressor:
    return _Stepped("bz2", bz2.BZ2Decompressor(), OSError, data)


# The window is as long as the data, from 4 KiB to 8 MiB. Sender and receiver both know that length;
# no window size is sent, and none can be forged.
def _raw_lzma(size: int, **settings: int) -> dict[str, Any]:
    window = min(max(size, _SMALLEST_LZMA_WINDOW), _LARGEST_WINDOW)
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": window, **settings}]
    return {"format": lzma.FORMAT_RAW, "filters": filters}


def _lzma(data: bytes, level: int) -> bytes:
    return lzma.compress(data, **_raw_lzma(len(data), preset=level | lzma.PRESET_EXTREME))


def _open_lzma(data: bytes | memoryview, size: int) -> Decompressor:
    return _Stepped("lzma", lzma.LZMADecompressor(**_raw_lzma(size)), lzma.LZMAError, data)


def _zstd(data: bytes, level: int) -> bytes:
    """Return a frame that declares its content size."""
    import zstandard

    size = len(data)
    limits = {"window_log": _LARGEST_WINDOW.bit_length() - 1} if size > _LARGEST_WINDOW else {}
    params = zstandard.ZstdCompressionParameters.from_level(level, source_size=size, **limits)
    return zstandard.ZstdCompressor(compression_params=params).compress(data)


class _ZstdStream:
    def __init__(self, data: bytes | memoryview, size: int) -> None:
        import zstandard

        # A compressor rounds its window up to a power of two; a frame that declares its content
        # size has that size as its window.
        window = min(max(1 << (size - 1).bit_length(), _SMALLEST_ZSTD_WINDOW), _LARGEST_WINDOW)
        self._error = zstandard.ZstdError
        self._source = io.BytesIO(data)
        decompressor = zstandard.ZstdDecompressor(max_window_size=window)
        self._reader = decompressor.stream_reader(self._source, read_across_frames=False)

    def read(self, size: int) -> bytes:
        try:
            return bytes(self._reader.read(size))
        except self._error as error:
            raise PayloadError(f"zstd stream is damaged: {error}") from error

    def finish(self) -> None:
        if self.read(1):
            raise PayloadError("zstd stream decodes to more bytes than the arrays have")


ZLIB, LZMA, BZ2, ZSTD = (
    Library("zlib", 1, (0, 9, 9), zlib.compress, _open_zlib),  # RFC 1950
    Library("lzma", 2, (0, 9, 9), _lzma, _open_lzma),  # raw LZMA2, every level in its "extreme"
    Library("bz2", 3, (1, 9, 9), bz2.compress, _open_bz2),
    Library("zstd", 4, (1, 22, 19), _zstd, _ZstdStream),  # RFC 8878
)


class RawCodec(BytesCodec):
    """Copies bytes and changes none of them, not even the sign of a zero. Lossless."""

    name = "raw"
    wire_id = 0
    spec = "raw"
    keeps_zeros = True

    def write(self, arrays: Sequence[Array]) -> bytes | memoryview:
        """Join the bytes of all arrays."""
        parts = [array.reshape(-1).view(np.uint8).data for array in arrays]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read(self, values: bytes | memoryview, specs: Sequence[ArraySpec]) -> list[Array]:
        """Return views of the values, without a copy."""
        total, found = sum(spec.nbytes for spec in specs), len(values)
        if found != total:
            raise PayloadError(f"raw stream has {found} bytes where the arrays have {total}")
        arrays, at = [], 0
        for spec in specs:
            arrays.append(np.ndarray(spec.shape, spec.dtype, values, at))
            at += spec.nbytes
        return arrays
