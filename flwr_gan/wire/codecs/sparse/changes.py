"""Which survivors differ from a base: their numbers alone travel, the others stay as they are."""

from collections.abc import Sequence

import numpy as np

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs.pieces import Pieces
from flwr_gan.wire.codecs.sparse.positions import PositionReader, write_positions
from flwr_gan.wire.codecs.sparse.support import Mask, Support, joined
from flwr_gan.wire.codecs.varint import ByteReader, write_varint

STRETCH = 1 << 20
"""Survivors, of all layers one after the other, that have a position set of their own."""


def write_changes(changed: Sequence[Support]) -> Pieces:
    """Code which survivors changed; a support of each layer has a place for each survivor.

    First how many changed; unless it is none, the length of the position sets and these.
    """
    every = joined(changed)
    if not every.count:
        return Pieces([write_varint(0)])
    starts = range(0, every.length, STRETCH)
    coded = write_positions([every.part(start, start + STRETCH) for start in starts])
    return Pieces([write_varint(every.count), write_varint(len(coded)), coded])


class ChangeReader:
    """Reads back what ``write_changes`` wrote of ``total`` survivors."""

    def __init__(self, reader: ByteReader, *, total: int) -> None:
        self.count = reader.varint(limit=total)
        self._left = self.count
        self._lengths = [min(STRETCH, total - at) for at in range(0, total, STRETCH)]
        self._stretch = 0
        self._pending: Mask = np.zeros(0, bool)
        self._sets: PositionReader | None = None
        if self.count:
            coded = bytes(reader.take(reader.varint(limit=reader.left)))
            self._reader = ByteReader(coded, what="positions of changes")
            self._sets = PositionReader(self._reader, self._lengths)

    def take(self, count: int) -> Mask:
        """Return which of the next ``count`` survivors changed, or raise ``PayloadError``."""
        if self._sets is None:
            return np.zeros(count, bool)
        parts = []
        while count > len(self._pending):
            parts.append(self._pending)
            count -= len(self._pending)
            self._pending = self._next(self._sets)
        parts.append(self._pending[:count])
        self._pending = self._pending[count:]
        changed = np.concatenate(parts)
        self._left -= int(np.count_nonzero(changed))
        return changed

    def finish(self) -> None:
        """Raise ``PayloadError`` unless as many changed as were said to."""
        if self._left:
            raise PayloadError("there are more changes than survivors that changed")
        if self._sets is not None:
            self._sets.finish()
            self._reader.finish()

    def _next(self, sets: PositionReader) -> Mask:
        if self._stretch == len(self._lengths):
            raise PayloadError("the mask has more survivors than there are values")
        changed = np.zeros(self._lengths[self._stretch], bool)
        for block in sets.blocks(self._stretch):
            changed[block.positions] = True
        self._stretch += 1
        return changed
