"""Stages on updates that send a transformed part instead of each array's changes.

An array is sent as it is if the receiver does not have it, if other weights survive than before,
if nothing survives, if changes are so large that their sums would be infinite, or if the stage has
no shorter form.
"""

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs.arrays import Array, canonical_zeros
from flwr_gan.wire.codecs.scaling import SMALLEST
from flwr_gan.wire.codecs.varint import ByteReader, write_varint
from flwr_gan.wire.stages.array_stage import Shape, UpdateStage, changes

ROOM = 63
"""Maximum number of elements by which a part may exceed its array."""

_FAR = 1e30


class ChangeStage(UpdateStage):
    """Transforms the changes of an array into one part, and back. Lossy."""

    keeps_shapes = False

    @abstractmethod
    def coded(self, change: Array, near: Array, at: int = 0) -> tuple[bytes, Array] | None:
        """Return the data for the decoder and the part of array number ``at``, or None.

        The changes and the receiver's weights are float32, of the array's shape, and 0 where
        pruned.
        """

    @abstractmethod
    def decoded(self, known: bytes, part: Array, near: Array) -> Array:
        """Return the changes of an array, float32; values at pruned weights are ignored.

        Raises ``PayloadError`` if ``coded`` cannot have returned this data.
        """

    def apply(
        self, arrays: Sequence[Array], held: Sequence[Array] | None = None
    ) -> tuple[bytes, list[list[Array]]]:
        """Return per array 0, or the part's length and the decoder's data; then the parts."""
        head, parts = b"", []
        for at, array in enumerate(arrays):
            found = None if held is None else self._part(array, held[at], at)
            if found is None:
                head += write_varint(0)
                parts.append([array])
            else:
                known, part = found
                head += write_varint(len(part)) + write_varint(len(known)) + known
                parts.append([part])
        return head, parts

    def _part(self, array: Array, near: Array, at: int) -> tuple[bytes, Array] | None:
        layer = canonical_zeros(np.ascontiguousarray(array).reshape(-1))
        if not near.any() or not np.array_equal(near != 0, layer != 0):
            return None
        change = changes(layer, near)
        if not np.abs(change).max() < _FAR:
            return None
        return self.coded(change.reshape(array.shape), near.reshape(array.shape), at)

    def read(
        self, reader: ByteReader, shapes: Sequence[Shape]
    ) -> tuple[list[list[Shape]], list[Any]]:
        """Return each part's shape and decoder's data; None for an array sent as it is."""
        parts: list[list[Shape]] = []
        every: list[bytes | None] = []
        for shape in shapes:
            length = reader.varint(limit=math.prod(shape) + ROOM)
            parts.append([(length,)] if length else [shape])
            known = reader.take(reader.varint(limit=reader.left)) if length else None
            every.append(None if known is None else bytes(known))
        return parts, every

    def part_shapes(self, reader: ByteReader, shapes: Sequence[Shape]) -> list[list[Shape]]:
        """Return the shapes of the parts."""
        return self.read(reader, shapes)[0]

    def restore(
        self, parts: Sequence[Array], shape: Shape, near: Array | None = None, known: Any = None
    ) -> Array:
        """Return the receiver's weights plus the changes; survivors stay nonzero."""
        if known is None:
            return parts[0]
        if near is None:
            raise PayloadError("unknown_base: the values are changes of a base not given")
        held = near.reshape(shape)
        with np.errstate(over="ignore", invalid="ignore"):
            moved = held + self.decoded(known, parts[0], held)
        moved = np.where(moved == 0, np.float32(SMALLEST), moved)
        return np.where(held != 0, moved, np.float32(0))


def spread(values: Array, near: Array) -> Array:
    """Put the changes of survivors, shape (k,), in their places, with 0 elsewhere."""
    change = np.zeros(near.shape, np.float32)
    change[near != 0] = values
    return change
