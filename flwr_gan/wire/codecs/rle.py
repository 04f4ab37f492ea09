"""Run lengths of zeros, plain: for comparison with what is published, without entropy coding."""

import math
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.elements import BLOCK, ElementCodec, Positions
from flwr_gan.wire.codecs.varint import ByteReader, write_varint

_LONGEST = 255


class RleCodec(ElementCodec):
    """Of each array the zeros before each element that is not zero, and these elements. Lossless.

    A run of zeros takes a byte: 0 to 254 and an element follows, or 255 zeros and none follows.
    Zeros at the end of an array are not written.
    """

    name: ClassVar[str] = "rle"
    wire_id: ClassVar[int] = 9
    spec = "rle"

    def write_places(self, positions: Positions, shape: tuple[int, ...]) -> bytes:
        """Return the number of runs, and the runs."""
        gaps = np.diff(positions, prepend=-1) - 1
        full, rest = np.divmod(gaps, _LONGEST)
        runs = np.full(int(full.sum()) + len(gaps), _LONGEST, np.uint8)
        runs[np.cumsum(full + 1) - 1] = rest
        return write_varint(len(runs)) + runs.tobytes()

    def read_places(self, reader: ByteReader, shape: tuple[int, ...]) -> Iterator[Positions]:
        """Read the runs; return the positions."""
        size = math.prod(shape)
        runs = np.frombuffer(reader.take(reader.varint(limit=size)), np.uint8)
        if len(runs) and runs[-1] == _LONGEST:
            raise PayloadError("rle payload has a run without an element at the end of an array")
        return _positions(runs, size)


def _positions(runs: Array, size: int) -> Iterator[Positions]:
    before = 0
    for start in range(0, len(runs), BLOCK):
        block = runs[start : start + BLOCK]
        ends = before + np.cumsum(np.minimum(block.astype(np.int64) + 1, _LONGEST))
        before = int(ends[-1])
        if before > size:
            raise PayloadError("rle payload has runs behind the end of an array")
        # A run of 254 and its element take as many places as a run of 255 without one.
        yield ends[block < _LONGEST] - 1


def from_spec(arguments: tuple[str, ...]) -> RleCodec:
    """Build the codec ``rle``, which takes no settings."""
    from flwr_gan.wire.codecs.registry import no_arguments

    no_arguments("rle", arguments)
    return RleCodec()
