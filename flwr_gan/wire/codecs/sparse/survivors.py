"""Reading of the survivors' weights that ``numbers`` wrote, any number at a time."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs import compiled
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.places import Places, Taken
from flwr_gan.wire.codecs.sparse.bands import Bands, read_bands
from flwr_gan.wire.codecs.sparse.floats import add_differences, zigzag
from flwr_gan.wire.codecs.sparse.numbers import (
    BANDED,
    CHANGES,
    CODING,
    RELATIVE,
    SHIFTED,
    code_coding,
)
from flwr_gan.wire.codecs.sparse.parts import FLOAT32, KnownBase
from flwr_gan.wire.codecs.sparse.positions import ChangeReader
from flwr_gan.wire.codecs.sparse.sides import SideReader
from flwr_gan.wire.codecs.sparse.support import Block
from flwr_gan.wire.codecs.sparse.values import BINS, MAGNITUDE_BINS, PCODEC, ValueReader
from flwr_gan.wire.codecs.stage import Stage
from flwr_gan.wire.codecs.varint import ByteReader, write_varint

_MOST_SHIFT = 31


def read_at_once(values: bytes | memoryview, stage: Stage | None, base: KnownBase) -> Array | None:
    """Return a base's survivors plus their coded differences, in one pass of numba's loops.

    Returns None without numba, and for values that are damaged or not of the usual form:
    ``SurvivorReader`` reads these or raises the error.
    """
    loops = compiled.kernels()
    near = base.survivors
    coding = MAGNITUDE_BINS if stage is None else code_coding(stage)
    head = write_varint(len(near)) + bytes([RELATIVE | coding])
    if loops is None or values[: len(head)] != head:
        return None
    coded = np.frombuffer(values, np.uint8, offset=len(head))
    if stage is not None:
        return stage.for_differences().at_once(coded, base.ends, near)
    from flwr_gan.wire.codecs.survivor_kernels import exact_differences

    weights = np.empty(len(near), np.uint32)
    sound = exact_differences(coded, near.view(np.uint32), weights)
    return weights.view(FLOAT32) if sound else None


class SurvivorReader:
    """Reads the weights of survivors, layer by layer, at most ``limit`` of them.

    ``may_divide``: the mask may have bands. Raises ``PayloadError`` for invalid data, or if a base
    is needed and missing.
    """

    def __init__(
        self,
        reader: ByteReader,
        shapes: Sequence[tuple[int, ...]],
        *,
        stage: Stage | None,
        limit: int,
        has_base: bool,
        may_divide: bool,
    ) -> None:
        self._left = reader.varint(limit=limit)
        tag = reader.byte()
        self._coding, self.relative = tag & CODING, bool(tag & RELATIVE)
        if self.relative and not has_base:
            raise PayloadError("unknown_base: the values are differences to a base not given")
        if tag & BANDED and (self.relative or not may_divide):
            raise PayloadError("payload has bands beside a base, which do not go together")
        if tag & (CHANGES | SHIFTED) and not self.relative:
            raise PayloadError("payload has values that changed, but are no differences to a base")
        self._stage = stage.for_differences() if stage and self.relative else stage
        dtype = self._value_dtype(changes=bool(tag & CHANGES))
        self._shift = self._read_shift(reader) if tag & SHIFTED else 0
        self._changes = ChangeReader(reader, total=self._left) if tag & CHANGES else None
        self.bands: list[Bands | None] = [None] * len(shapes)
        if tag & BANDED:
            self.bands = read_bands(reader, shapes)
        coded = self._left if self._changes is None else self._changes.count
        self._sides = None
        if self._stage is not None and (coded or self._changes is None):
            self._sides = SideReader(self._stage, reader, shapes=shapes, total=coded)
        self._numbers = ValueReader(reader, coding=self._coding, dtype=dtype, total=coded)
        self._shapes = shapes
        self._layer = 0

    def read(self, block: Block, near: Array | None, layer: Array) -> None:
        """Write the layer's next k survivors to their places in a zeroed layer.

        ``near`` are the receiver's values there, float32, shape (k,); needed if ``relative`` is
        true.
        """
        inside = layer[block.start : block.stop] if block.is_whole else None
        weights = self._weights(block, near, inside)
        if weights is not inside:
            block.put(layer, weights)

    def next_layer(self) -> None:
        """Begin with the next layer."""
        self._layer += 1
        if self._sides is not None:
            self._sides.next_layer()

    def read_all(self, base: KnownBase) -> Array:
        """Return the weights of all survivors, float32; the mask is the base's."""
        near = base.survivors if self.relative else None
        if self._stage is None:
            return self._weights(range(len(base.survivors)), near)
        weights = np.empty(len(base.survivors), np.float32)
        start = 0
        for support, stop in zip(base.supports, base.ends, strict=True):
            part = weights[start:stop]
            found = self._weights(support, None if near is None else near[start:stop], part)
            if found is not part:
                part[:] = found
            self.next_layer()
            start = stop
        return weights

    def finish(self) -> None:
        """Raise ``PayloadError`` if data is left after the last layer."""
        if self._left:
            raise PayloadError("there are more values than the mask has survivors")
        if self._changes is not None:
            self._changes.finish()
        if self._sides is not None:
            self._sides.finish()
        self._numbers.finish()

    def _weights(self, where: Taken | range, near: Array | None, out: Array | None = None) -> Array:
        """Return the next weights, at places of the layer; they may be written to ``out``."""
        count = len(where) if isinstance(where, range) else where.count
        if count > self._left:
            raise PayloadError("the mask has more survivors than there are values")
        self._left -= count
        if self._changes is None or near is None:
            return self._decoded(where, count, near, out)
        changed = np.flatnonzero(self._changes.take(count))
        places = changed if isinstance(where, range) else where.positions[changed]
        weights = near.copy()
        weights[changed] = self._decoded(places, len(places), near[changed])
        return weights

    def _decoded(
        self,
        where: Taken | Array | range,
        count: int,
        near: Array | None,
        out: Array | None = None,
    ) -> Array:
        codes = self._numbers.read(count, out if self._stage is None and near is None else None)
        if self._stage is None:
            return self._unstaged(codes, near)
        if self._sides is None or not len(codes):
            return np.empty(0, FLOAT32)
        first, side = self._sides.take(self._layer, len(codes))
        places = Places(where, self._shapes[self._layer], first)
        return self._stage.from_codes(codes, places, side, near, out)

    def _unstaged(self, codes: Array, near: Array | None) -> Array:
        if near is None or self._coding == BINS:
            return codes
        if self._coding == PCODEC:
            codes = zigzag(codes.view(np.uint32))
        return add_differences(codes, near, shift=self._shift)

    def _value_dtype(self, *, changes: bool) -> np.dtype[Any]:
        allowed: dict[int, np.dtype[Any]]
        if self._stage is not None:
            allowed = {code_coding(self._stage): np.dtype(self._stage.code_dtype)}
        elif self.relative:
            allowed = {MAGNITUDE_BINS: np.dtype("<u4"), PCODEC: np.dtype("<i4")}
            if changes:
                allowed[BINS] = FLOAT32
        else:
            allowed = {BINS: FLOAT32, PCODEC: FLOAT32}
        if self._coding not in allowed:
            number = self._coding
            raise PayloadError(f"payload has value coding {number}, which does not belong here")
        return allowed[self._coding]

    def _read_shift(self, reader: ByteReader) -> int:
        shift = reader.byte()
        if self._stage is not None or self._coding == BINS or not 0 < shift <= _MOST_SHIFT:
            raise PayloadError(f"payload has values with {shift} zero bits, which cannot be")
        return shift
