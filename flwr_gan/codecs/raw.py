"""No compression: the arrays' bytes as they are."""

from collections.abc import Sequence
from typing import ClassVar

from flwr_gan.codecs.arrays import Array
from flwr_gan.codecs.base import BaseUse, Body
from flwr_gan.codecs.general import Decompressor, GeneralCodec
from flwr_gan.errors import PayloadError


class RawCodec(GeneralCodec):
    """Copies bytes and touches none of them, not even the sign of a zero. Lossless."""

    name: ClassVar[str] = "raw"
    wire_id: ClassVar[int] = 0
    spec = "raw"

    def compress(self, data: bytes) -> bytes:
        """Return ``data``."""
        return data

    def encode_bundle(
        self,
        arrays: Sequence[Array],
        *,
        strict: bool = False,
        base: Sequence[Array] | None = None,
        base_use: BaseUse = "auto",
    ) -> Body:
        """Join the bytes of all arrays; zeros keep their sign whether ``strict`` or not."""
        return super().encode_bundle(arrays, strict=True, base=base, base_use=base_use)

    def decompressor(self, data: bytes | memoryview, size: int) -> Decompressor:
        """Read ``data`` piece by piece."""
        return _Slices(data)


class _Slices:
    def __init__(self, data: bytes | memoryview) -> None:
        self._data = memoryview(data)
        self._at = 0

    def read(self, size: int) -> memoryview:
        piece = self._data[self._at : self._at + size]
        self._at += len(piece)
        return piece

    def finish(self) -> None:
        if self._at != len(self._data):
            raise PayloadError(f"raw stream has {len(self._data) - self._at} bytes too many")


def from_spec(arguments: tuple[str, ...]) -> RawCodec:
    """Build the codec ``raw``, which takes no settings."""
    from flwr_gan.codecs.registry import no_arguments

    no_arguments("raw", arguments)
    return RawCodec()
