"""Codecs for any bytes, applied to the concatenated bytes of all arrays: one stream a payload."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs.arrays import Array, ArraySpec
from flwr_gan.wire.codecs.base import BaseUse, Body, Codec, prepared, refuse_base, refuse_mask

PIECE_BYTES = 1 << 18
"""Decoded bytes that are asked for at a time, so that a bomb costs no more than this."""


class Decompressor(Protocol):
    """Gives the decoded bytes of a stream piece by piece."""

    def read(self, size: int) -> bytes:
        """Return 1 to ``size`` more bytes, or none at the end of the stream."""

    def finish(self) -> None:
        """Raise ``PayloadError`` unless the stream ended here, with nothing behind it."""


class GeneralCodec(Codec):
    """A codec that needs to know nothing of the bytes but their number."""

    @abstractmethod
    def compress(self, data: bytes) -> bytes:
        """Return ``data`` coded; the same bytes for the same data and library version."""

    @abstractmethod
    def decompressor(self, data: bytes | memoryview, size: int) -> Decompressor:
        """Open ``data``, which should decode to ``size`` bytes."""

    def encode_bundle(
        self,
        arrays: Sequence[Array],
        *,
        strict: bool = False,
        base: Sequence[Array] | None = None,
        base_use: BaseUse = "auto",
    ) -> Body:
        """Code the bytes of all arrays, one after the other; the base is of no use here."""
        refuse_base(base_use, self.spec)
        data = b"".join(array.data for array in prepared(arrays, strict=strict) if array.size)
        return Body(b"", self.compress(data) if data else b"")

    def decode_bundle(
        self, body: Body, specs: Sequence[ArraySpec], *, base: Sequence[Array] | None = None
    ) -> list[Array]:
        """Decode array by array, straight into the memory of the result."""
        total = sum(spec.nbytes for spec in specs)
        refuse_mask(body, self.name)
        if not total:
            if body.values:
                raise PayloadError(f"{self.name} stream has bytes where no array has any")
            return [np.empty(spec.shape, spec.dtype) for spec in specs]
        stream = self.decompressor(body.joined, total)
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


class SteppedDecompressor:
    """Drives a decompressor object of the standard library and translates its errors.

    Parameters
    ----------
    step : Step
        The library's decompressor object.
    data : bytes
        The coded stream.
    name : str
        Name of the codec for error messages.
    """

    def __init__(self, step: "Step", data: bytes | memoryview, *, name: str) -> None:
        self._step = step
        self._data = memoryview(data)
        self._at = 0
        self._pending = b""
        self._name = name

    def read(self, size: int) -> bytes:
        """Return up to ``size`` more decoded bytes."""
        while not self._step.at_end:
            try:
                piece, self._pending = self._step.step(self._pending, size)
            except self._step.errors as error:
                raise PayloadError(f"{self._name} stream is damaged: {error}") from error
            if piece:
                return piece
            if not self._step.at_end:
                self._feed()
        return b""

    def _feed(self) -> None:
        # In pieces, because what a library does not use at once it copies.
        more = bytes(self._data[self._at : self._at + PIECE_BYTES])
        if not more:
            raise PayloadError(f"{self._name} stream is truncated")
        self._at += len(more)
        self._pending += more

    def finish(self) -> None:
        """Raise ``PayloadError`` unless the stream ended here, with nothing behind it."""
        if self.read(1):
            raise PayloadError(f"{self._name} stream decodes to more bytes than the arrays have")
        behind = len(self._pending) + len(self._data) - self._at
        if behind:
            raise PayloadError(f"{self._name} stream has {behind} bytes behind its end")


class Step(Protocol):
    """One decompressor object of a library, seen through what all of them can do."""

    errors: tuple[type[BaseException], ...]

    @property
    def at_end(self) -> bool:
        """True once the end of the stream was seen."""

    def step(self, data: bytes, size: int) -> tuple[bytes, bytes]:
        """Decode from ``data`` up to ``size`` bytes; return them and the input not yet used."""
