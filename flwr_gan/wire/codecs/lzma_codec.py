"""LZMA: a large window and range coding, from the standard library."""

import lzma
from typing import Any, ClassVar

from flwr_gan.wire.codecs.general import Decompressor, GeneralCodec, SteppedDecompressor

_SMALLEST_WINDOW = 1 << 12
_LARGEST_WINDOW = 1 << 23


class LzmaCodec(GeneralCodec):
    """One raw LZMA2 stream, without the .xz container. Lossless.

    The window is as long as the data, between 4 KiB and 8 MiB: sender and receiver both know
    that length, so no window size travels and none can be forged.
    """

    name: ClassVar[str] = "lzma"
    wire_id: ClassVar[int] = 2

    def __init__(self, *, level: int = 9) -> None:
        self.level = level
        self.spec = f"lzma:{level}"

    def compress(self, data: bytes) -> bytes:
        """Return the LZMA2 stream of ``data``."""
        filters = _filters(len(data), preset=self.level | lzma.PRESET_EXTREME)
        return lzma.compress(data, format=lzma.FORMAT_RAW, filters=filters)

    def decompressor(self, data: bytes | memoryview, size: int) -> Decompressor:
        """Open an LZMA2 stream."""
        return SteppedDecompressor(_LzmaStep(size), data, name="lzma")


class _LzmaStep:
    errors: tuple[type[BaseException], ...] = (lzma.LZMAError,)

    def __init__(self, size: int) -> None:
        self._object = lzma.LZMADecompressor(format=lzma.FORMAT_RAW, filters=_filters(size))

    @property
    def at_end(self) -> bool:
        return self._object.eof

    def step(self, data: bytes, size: int) -> tuple[bytes, bytes]:
        return self._object.decompress(data, size), self._object.unused_data


def _filters(size: int, **settings: int) -> list[dict[str, Any]]:
    window = min(max(size, _SMALLEST_WINDOW), _LARGEST_WINDOW)
    return [{"id": lzma.FILTER_LZMA2, "dict_size": window, **settings}]


def from_spec(arguments: tuple[str, ...]) -> LzmaCodec:
    """Build ``lzma`` or ``lzma:LEVEL``, level 0 to 9 (each in its "extreme" variant)."""
    from flwr_gan.wire.codecs.registry import level_argument

    return LzmaCodec(level=level_argument("lzma", arguments, default=9, lowest=0, highest=9))
