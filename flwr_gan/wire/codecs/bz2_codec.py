"""bzip2: block sorting and Huffman coding, from the standard library."""

import bz2
from typing import ClassVar

from flwr_gan.wire.codecs.general import Decompressor, GeneralCodec, SteppedDecompressor


class Bz2Codec(GeneralCodec):
    """One bzip2 stream. Lossless."""

    name: ClassVar[str] = "bz2"
    wire_id: ClassVar[int] = 3

    def __init__(self, *, level: int = 9) -> None:
        self.level = level
        self.spec = f"bz2:{level}"

    def compress(self, data: bytes) -> bytes:
        """Return the bzip2 stream of ``data``."""
        return bz2.compress(data, self.level)

    def decompressor(self, data: bytes | memoryview, size: int) -> Decompressor:
        """Open a bzip2 stream."""
        return SteppedDecompressor(_Bz2Step(), data, name="bz2")


class _Bz2Step:
    errors: tuple[type[BaseException], ...] = (OSError, ValueError)

    def __init__(self) -> None:
        self._object = bz2.BZ2Decompressor()

    @property
    def at_end(self) -> bool:
        return self._object.eof

    def step(self, data: bytes, size: int) -> tuple[bytes, bytes]:
        return self._object.decompress(data, size), self._object.unused_data


def from_spec(arguments: tuple[str, ...]) -> Bz2Codec:
    """Build ``bz2`` or ``bz2:LEVEL``, level 1 to 9."""
    from flwr_gan.wire.codecs.registry import level_argument

    return Bz2Codec(level=level_argument("bz2", arguments, default=9, lowest=1, highest=9))
