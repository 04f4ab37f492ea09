"""Zstandard: LZ77 and finite-state entropy coding."""

import io
from typing import ClassVar

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs.general import Decompressor, GeneralCodec

_SMALLEST_WINDOW = 1 << 10
_LARGEST_WINDOW = 1 << 23


class ZstdCodec(GeneralCodec):
    """One Zstandard frame (RFC 8878) that declares its content size. Lossless."""

    name: ClassVar[str] = "zstd"
    wire_id: ClassVar[int] = 4

    def __init__(self, *, level: int = 19) -> None:
        self.level = level
        self.spec = f"zstd:{level}"

    def compress(self, data: bytes) -> bytes:
        """Return the frame of ``data``."""
        import zstandard

        params = zstandard.ZstdCompressionParameters.from_level(
            self.level, source_size=len(data), **self._limits(len(data))
        )
        return zstandard.ZstdCompressor(compression_params=params).compress(data)

    def _limits(self, size: int) -> dict[str, int]:
        return {"window_log": _LARGEST_WINDOW.bit_length() - 1} if size > _LARGEST_WINDOW else {}

    def decompressor(self, data: bytes | memoryview, size: int) -> Decompressor:
        """Open a frame whose window may not exceed what ``size`` bytes can need."""
        return _ZstdStream(data, size)


class _ZstdStream:
    def __init__(self, data: bytes | memoryview, size: int) -> None:
        import zstandard

        # A compressor rounds its window up to a power of two, and a frame that declares its
        # content size has that as its window.
        window = min(max(1 << (size - 1).bit_length(), _SMALLEST_WINDOW), _LARGEST_WINDOW)
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


def from_spec(arguments: tuple[str, ...]) -> ZstdCodec:
    """Build ``zstd`` or ``zstd:LEVEL``, level 1 to 22."""
    from flwr_gan.wire.codecs.registry import level_argument

    return ZstdCodec(level=level_argument("zstd", arguments, default=19, lowest=1, highest=22))
