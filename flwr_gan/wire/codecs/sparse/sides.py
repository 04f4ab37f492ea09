"""The side numbers of a stage, such as scales: per array, for all arrays, or per block."""

from collections.abc import Sequence

import numpy as np

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.pieces import Pieces
from flwr_gan.wire.codecs.sparse.values import BINS, ValueReader, write_values
from flwr_gan.wire.codecs.stage import Stage, side_of_each, side_shapes
from flwr_gan.wire.codecs.varint import ByteReader, write_varint


def write_sides(stage: Stage, written: Sequence[Array]) -> Pieces:
    """Code side numbers: as they are; those of blocks as their count, then keys in bins."""
    if not stage.block_length:
        return Pieces([part.astype(stage.side_dtype).tobytes() for part in written])
    return Pieces([write_varint(sum(map(len, written))), write_values(written, BINS)])


class SideReader:
    """Reads the output of ``write_sides`` and gives each array the side numbers of its weights.

    ``total`` is the number of coded weights. Raises ``PayloadError`` for invalid data.
    """

    def __init__(
        self,
        stage: Stage,
        reader: ByteReader,
        *,
        shapes: Sequence[tuple[int, ...]],
        total: int,
    ) -> None:
        self._block = stage.block_length
        self._at = 0
        self._seen = 0
        if self._block:
            count = reader.varint(limit=total // self._block + min(len(shapes), total))
            keys = ValueReader(reader, coding=BINS, dtype=np.dtype("<u2"), total=count)
            self._keys = keys.read(count)
            stage.check_side(self._keys)
            return
        written = []
        for shape in side_shapes(stage, shapes):
            dtype = np.dtype(stage.side_dtype)
            data = reader.take(dtype.itemsize * stage.side_count(shape))
            written.append(np.frombuffer(data, dtype))
            stage.check_side(written[-1])
        self._of_each = side_of_each(stage, written, len(shapes))

    def take(self, layer: int, count: int) -> tuple[int, Array]:
        """Return the side numbers for the next ``count`` (1 or more) weights of an array.

        Returns the number of its weights taken before, then its side numbers; those of blocks begin
        with the block of the first weight.
        """
        first = self._seen
        self._seen += count
        if not self._block:
            return first, self._of_each[layer]
        start = self._at + first // self._block
        side = self._keys[start : self._at + -(-self._seen // self._block)]
        if len(side) * self._block < first % self._block + count:
            raise PayloadError("there are fewer scales than blocks of weights")
        return first, side

    def next_layer(self) -> None:
        """Begin with the next array."""
        if self._block:
            self._at += -(-self._seen // self._block)
        self._seen = 0

    def finish(self) -> None:
        """Raise ``PayloadError`` if numbers are left."""
        if self._block and self._at != len(self._keys):
            raise PayloadError("there are more scales than blocks of weights")
