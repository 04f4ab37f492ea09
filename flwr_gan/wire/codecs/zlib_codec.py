"""zlib: LZ77 and Huffman coding, from the standard library."""

import zlib
from typing import ClassVar

from flwr_gan.wire.codecs.general import Decompressor, GeneralCodec, SteppedDecompressor


class ZlibCodec(GeneralCodec):
    """One zlib stream (RFC 1950). Lossless."""

    name: ClassVar[str] = "zlib"
    wire_id: ClassVar[int] = 1

    def __init__(self, *, level: int = 9) -> None:
        self.level = level
        self.spec = f"zlib:{level}"

    def compress(self, data: bytes) -> bytes:
        """Return the zlib stream of ``data``."""
        return zlib.compress(data, self.level)

    def decompressor(self, data: bytes | memoryview, size: int) -> Decompressor:
        """Open a zlib stream."""
        return SteppedDecompressor(_ZlibStep(), data, name="zlib")


class _ZlibStep:
    errors: tuple[type[BaseException], ...] = (zlib.error,)

    def __init__(self) -> None:
        self._object = zlib.decompressobj()

    @property
    def at_end(self) -> bool:
        return self._object.eof

    def step(self, data: bytes, size: int) -> tuple[bytes, bytes]:
        piece = self._object.decompress(data, size)
        return piece, self._object.unused_data or self._object.unconsumed_tail


def from_spec(arguments: tuple[str, ...]) -> ZlibCodec:
    """Build ``zlib`` or ``zlib:LEVEL``, level 0 to 9."""
    from flwr_gan.wire.codecs.registry import level_argument

    return ZlibCodec(level=level_argument("zlib", arguments, default=9, lowest=0, highest=9))
