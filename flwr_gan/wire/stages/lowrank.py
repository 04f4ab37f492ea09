"""Low rank: a layer as the product of two factors, by truncated singular value decomposition.

An array is unfolded to m rows (first axis) and n columns (all others); r is the rank sent.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.settings import STEPS, ByKind, Fraction, Whole
from flwr_gan.wire.codecs.stage import finite_extremes
from flwr_gan.wire.codecs.varint import ByteReader, write_varint
from flwr_gan.wire.stages.array_stage import ArrayStage, Shape

MOST_RANK = 1024
"""Limit of the format: the maximum number of multiplications per weight in a decoder."""

_BLOCK = 1 << 17


class LowRankStage(ByKind, ArrayStage):
    """``W = U V`` with U of m x r and V of r x n numbers. Lossy; zeros of W may change.

    ``rank`` keeps the R largest singular values, ``energy`` the fewest with at least the share E of
    the sum of squares. The norm of a layer's errors is at most ``sqrt(1 - r / min(m, n))``, or
    ``sqrt(1 - E)``, times that of the layer, plus rounding of the factors to float32. U and V
    share the singular values evenly; both travel with r as their first axis.

    A layer is sent as it is if it has fewer than two axes, if its factors would have at least as
    many numbers as the layer has nonzero weights, or if r is above 1,024.
    """

    name = "lowrank"
    wire_id = 8

    keeps_shapes = False
    amounts: ClassVar[Mapping[str, Whole]] = {
        "rank": Whole("amount", 1, MOST_RANK),
        "energy": Fraction("amount", fault="is out of range"),
    }
    allowed = (
        f"allowed: lowrank:rank:R with R from 1 to {MOST_RANK}, such as lowrank:rank:8, or "
        "lowrank:energy:E with E from 0.0001 to 0.9999 in at most 4 decimals, such as "
        "lowrank:energy:0.9"
    )

    def apply(
        self, arrays: Sequence[Array], held: Sequence[Array] | None = None
    ) -> tuple[bytes, list[list[Array]]]:
        """Return the rank of each array (0: sent as it is), and the factors or the array."""
        head = b""
        parts: list[list[Array]] = []
        for array in arrays:
            finite_extremes(array, self.spec)
            factors = self._factors(array)
            head += write_varint(len(factors[0]) if factors else 0)
            parts.append(factors or [array])
        return head, parts

    def _factors(self, array: Array) -> list[Array]:
        rows, columns = unfolded(array.shape)
        survivors = int(np.count_nonzero(array))
        # Even one row and one column have too many numbers.
        if array.ndim < 2 or rows + columns >= survivors:
            return []
        matrix = array.reshape(rows, columns).astype(np.float64)
        try:
            left, sizes, right = np.linalg.svd(matrix, full_matrices=False)
        except np.linalg.LinAlgError as error:
            raise CodecError(f"{self.spec}: an array of {array.shape}: {error}") from error
        rank = self._rank(sizes)
        if rank > MOST_RANK or rank * (rows + columns) >= survivors:
            return []
        roots = np.sqrt(sizes[:rank, None])
        left, right = left.T[:rank], right[:rank]
        # The sign of a pair of singular vectors is arbitrary.
        largest = np.abs(left).argmax(axis=1)
        signs = np.where(left[np.arange(rank), largest] < 0, -1.0, 1.0)[:, None]
        return [(part * (roots * signs)).astype(np.float32) for part in (left, right)]

    def _rank(self, sizes: Array) -> int:
        if self.kind == "rank":
            return min(self.amount, len(sizes))
        energies = np.cumsum(sizes**2)
        return int(np.searchsorted(energies, energies[-1] * (self.amount / STEPS))) + 1

    def part_shapes(self, reader: ByteReader, shapes: Sequence[Shape]) -> list[list[Shape]]:
        """Return the shapes of the factors, r x m and r x n, or of the array itself."""
        parts: list[list[Shape]] = []
        for shape in shapes:
            rank = reader.varint(limit=MOST_RANK)
            rows, columns = unfolded(shape)
            if rank and (len(shape) < 2 or rank * (rows + columns) >= rows * columns):
                raise PayloadError(f"an array of {shape} cannot have factors of rank {rank}")
            parts.append([(rank, rows), (rank, columns)] if rank else [shape])
        return parts

    def restore(
        self, parts: Sequence[Array], shape: Shape, near: Array | None = None, known: Any = None
    ) -> Array:
        """Return the product of the factors."""
        if len(parts) == 1:
            return parts[0]
        return product(*parts).reshape(shape)

    def error_bound(self, arrays: Sequence[Array]) -> float:
        """Return the bound over all layers with two or more axes, as if all were factored."""
        squares = 0.0
        for array in arrays:
            if array.ndim < 2 or not array.size:
                continue
            least = min(unfolded(array.shape))
            share = self.amount / STEPS if self.kind == "energy" else min(self.amount / least, 1.0)
            squares += (1 - share) * float(np.sum(array.astype(np.float64) ** 2))
        return math.sqrt(squares)


def product(left: Array, right: Array) -> Array:
    """Return the product of factors of shapes (r, m) and (r, n), float32, shape (m, n).

    Products of two float32 numbers are exact in double precision and are added in a fixed order, so
    that every machine decodes the same bits; no library's matrix product guarantees that.
    """
    wide_left, wide_right = left.astype(np.float64), right.astype(np.float64)
    rows, columns = left.shape[1], right.shape[1]
    found = np.empty((rows, columns), np.float32)
    step = max(_BLOCK // columns, 1)
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, rows, step):
            block = np.zeros((min(step, rows - start), columns))
            for column, row in zip(wide_left[:, start : start + step], wide_right, strict=True):
                block += column[:, None] * row
            found[start : start + step] = block
    found += np.float32(0)  # no negative zeros
    return found


def unfolded(shape: Shape) -> tuple[int, int]:
    """Return m and n: the length of the first axis, and of all others together."""
    return (shape[0], math.prod(shape[1:])) if shape else (1, 1)
