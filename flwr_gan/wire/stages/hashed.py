"""Weights shared by a hash: HashedNets, from the survey's family of encodings.

n weights of an array; K shared values, the only numbers sent.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.places import Positions
from flwr_gan.wire.codecs.settings import STEPS, Flag, Fraction
from flwr_gan.wire.codecs.stage import finite_extremes
from flwr_gan.wire.codecs.varint import ByteReader, write_varint
from flwr_gan.wire.stages.array_stage import ArrayStage, Shape

LEAST_AXES = 2

_BLOCK = 1 << 17


class HashStage(ArrayStage):
    """``w[i] = x(i) v[h(i)]`` with ``K = ceil(F n)`` values v. Lossy; zeros may change.

    h is a hash of the place i and of n, so it takes no bytes. x is 1; with ``sign`` it is 1 or -1
    by another bit of the hash, so that weights with a common value may differ in sign. The values
    have the least squared error: means of ``x(i) w[i]`` over the weights that share a value, pruned
    weights included as zeros. The norm of the errors is at most that of the weights.

    An array of fewer than two axes, or with at most K nonzero weights, is sent as it is. The same
    weights share a value every time, so error feedback cannot make up for the loss.
    """

    name = "hash"
    wire_id = 10
    contractive = False

    keeps_shapes = False
    settings = (Fraction("fraction_steps"), Flag("signed", "sign"))
    allowed = (
        "allowed: hash:F[:sign] with F from 0.0001 to 0.9999 in at most 4 decimals, such as "
        "hash:0.1"
    )
    fraction_steps: int
    signed: bool

    def value_count(self, shape: Shape) -> int:
        """Return K for an array of this shape."""
        return -(-self.fraction_steps * math.prod(shape) // STEPS)

    def apply(
        self, arrays: Sequence[Array], held: Sequence[Array] | None = None
    ) -> tuple[bytes, list[list[Array]]]:
        """Return for each array 1 if it is hashed, else 0; and the values, or the array."""
        head = b""
        parts = []
        for array in arrays:
            survivors = int(np.count_nonzero(array))
            hashed = array.ndim >= LEAST_AXES and self.value_count(array.shape) < survivors
            head += write_varint(int(hashed))
            parts.append([self._values(array) if hashed else array])
        return head, parts

    def _values(self, array: Array) -> Array:
        finite_extremes(array, self.spec)
        count = self.value_count(array.shape)
        flat = array.reshape(-1)
        totals, members = np.zeros(count), np.zeros(count, np.int64)
        for start, chosen, negative in self._shared(flat.size, count):
            weights = flat[start : start + len(chosen)].astype(np.float64)
            totals += np.bincount(chosen, np.where(negative, -weights, weights), count)
            members += np.bincount(chosen, minlength=count)
        return (totals / np.maximum(members, 1)).astype(np.float32)

    def _shared(self, size: int, count: int) -> Iterator[tuple[int, Positions, Array]]:
        """Yield per block its start, the value index of each weight, and which are negative.

        The hash ends with the finaliser of MurmurHash3, in 32-bit whole numbers: equal everywhere.
        """
        salt = np.uint32(size * 0x9E3779B1 & 0xFFFFFFFF)
        for start in range(0, size, _BLOCK):
            bits = np.arange(start, min(start + _BLOCK, size), dtype=np.uint32) ^ salt
            for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
                bits = (bits ^ bits >> np.uint32(shift)) * np.uint32(factor)
            bits ^= bits >> np.uint32(16)
            chosen = bits.astype(np.uint64) * np.uint64(count) >> np.uint64(32)
            yield start, chosen.astype(np.int64), (bits & np.uint32(self.signed)).astype(bool)

    def part_shapes(self, reader: ByteReader, shapes: Sequence[Shape]) -> list[list[Shape]]:
        """Return the shape of the shared values, (K,), or of the array itself."""
        parts: list[list[Shape]] = []
        for shape in shapes:
            count = self.value_count(shape)
            hashed = reader.varint(limit=1)
            if hashed and (len(shape) < LEAST_AXES or count >= math.prod(shape)):
                raise PayloadError(f"an array of {shape} cannot share {count} values")
            parts.append([(count,) if hashed else shape])
        return parts

    def restore(
        self, parts: Sequence[Array], shape: Shape, near: Array | None = None, known: Any = None
    ) -> Array:
        """Return each weight's value, in a few operations per weight."""
        (values,) = parts
        if values.shape == shape:
            return values
        flat = np.empty(math.prod(shape), np.float32)
        for start, chosen, negative in self._shared(flat.size, len(values)):
            weights = values[chosen]
            flat[start : start + len(chosen)] = np.where(negative, -weights, weights)
        flat[flat == 0] = 0  # no negative zeros
        return flat.reshape(shape)

    def error_bound(self, arrays: Sequence[Array]) -> float:
        """Return the norm of all weights of arrays that may be hashed."""
        layers = (array.astype(np.float64) for array in arrays if array.ndim >= LEAST_AXES)
        return math.sqrt(sum(float(np.sum(layer**2)) for layer in layers))
