"""Stages that change whole arrays before coding: fewer weights, or other arrays.

Stages on updates send few numbers of the changes since the receiver's last arrays. A change is the
difference of a weight to the receiver's weight. Candidates are the weights that survive on both
sides; newly pruned and regrown weights are always sent, and everything is sent if the receiver
holds nothing.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from flwr_gan.wire.codecs.arrays import Array, canonical_zeros
from flwr_gan.wire.codecs.places import Positions
from flwr_gan.wire.codecs.settings import STEPS, Configured
from flwr_gan.wire.codecs.varint import ByteReader

Shape = tuple[int, ...]

SCOPES = ("global", "local")
"""The share F of all arrays together, or of each array."""


class ArrayStage(Configured, ABC):
    """Turns float32 arrays into float32 parts that take fewer bytes, and back. Lossy.

    A stage has no state: the same arrays give the same parts. Error feedback over the whole payload
    makes up for its loss (``flwr_gan.wire.encode_with_feedback``).

    Attributes
    ----------
    keeps_shapes : bool
        True if each array has one part of the array's shape, so that a base may be used.
    relative : bool
        True if the stage works on changes: differences to the receiver's arrays.
    memory : dict of str to numpy.ndarray
        Content of ``remembered`` after ``apply`` for the previous update; empty for stages without
        memory.
    momentum : float
        Momentum factor of a sender's previous updates; 0 for most stages.
    unbiased : str or None
        Spec of the unbiased form, whose mean over many draws is the update; None if this is it.
    contractive : bool
        True if error feedback makes up for the loss: the norm of the residual is never above that
        of the arrays, and a growing residual is sent sooner.
    """

    keeps_shapes: bool
    relative: ClassVar[bool] = False
    contractive: bool = True
    momentum: float = 0.0
    unbiased: str | None = None

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.memory: Mapping[str, Array] = {}
        self.remembered: dict[str, Array] = {}

    @abstractmethod
    def apply(
        self, arrays: Sequence[Array], held: Sequence[Array] | None = None
    ) -> tuple[bytes, list[list[Array]]]:
        """Return the data that the decoder needs about the parts, and the parts of each array.

        Parameters
        ----------
        arrays : sequence of numpy.ndarray of float32
            The arrays that the receiver should have.
        held : sequence of numpy.ndarray of float32, 1-D, optional
            The receiver's weights of each array, flat; only given to ``relative`` stages.

        Raises
        ------
        CodecError
            If the stage cannot change an array.
        """

    @abstractmethod
    def part_shapes(self, reader: ByteReader, shapes: Sequence[Shape]) -> list[list[Shape]]:
        """Return the shapes of the parts of each array, read from the data of ``apply``.

        The parts of all arrays together must not have more weights than the arrays.

        Raises
        ------
        PayloadError
            If ``apply`` cannot have written this data.
        """

    def read(
        self, reader: ByteReader, shapes: Sequence[Shape]
    ) -> tuple[list[list[Shape]], list[Any]]:
        """Return ``part_shapes``, and for each array further knowledge for ``restore``."""
        return self.part_shapes(reader, shapes), [None] * len(shapes)

    @abstractmethod
    def restore(
        self, parts: Sequence[Array], shape: Shape, near: Array | None = None, known: Any = None
    ) -> Array:
        """Return the float32 array of these parts.

        ``near`` are the receiver's weights, flat; ``known`` is the array's item from ``read``.
        """

    @abstractmethod
    def error_bound(self, arrays: Sequence[Array]) -> float:
        """Return the largest possible Euclidean norm of the errors of all weights."""


class KeepingStage(ArrayStage):
    """An array stage whose parts have the shapes of the arrays; decoding does nothing."""

    keeps_shapes = True

    @abstractmethod
    def changed(self, arrays: Sequence[Array], held: Sequence[Array] | None) -> list[Array]:
        """Return the float32 arrays to send instead of these; ``held`` as for ``apply``.

        Raises ``CodecError`` if the stage cannot change an array.
        """

    def apply(
        self, arrays: Sequence[Array], held: Sequence[Array] | None = None
    ) -> tuple[bytes, list[list[Array]]]:
        """Return no data, and the changed arrays."""
        return b"", [[array] for array in self.changed(arrays, held)]

    def part_shapes(self, reader: ByteReader, shapes: Sequence[Shape]) -> list[list[Shape]]:
        """Return the shapes of the arrays themselves."""
        return [[shape] for shape in shapes]

    def restore(
        self, parts: Sequence[Array], shape: Shape, near: Array | None = None, known: Any = None
    ) -> Array:
        """Return the only part."""
        return parts[0]


def changes(layer: Array, near: Array) -> Array:
    """Return the change of each candidate, float32, and 0 for all other weights."""
    with np.errstate(invalid="ignore", over="ignore"):
        found: Array = layer - near
    found[(layer == 0) | (near == 0)] = 0
    return found


class UpdateStage(ArrayStage):
    """Base of all stages on updates: relative to the receiver's arrays."""

    relative: ClassVar[bool] = True

    def error_bound(self, arrays: Sequence[Array]) -> float:
        """Return the norm of all changes, an upper bound of the errors."""
        return float(np.sqrt(sum(float(np.sum(a.astype(np.float64) ** 2)) for a in arrays)))


class SelectingStage(KeepingStage, UpdateStage):
    """Sends some changes in full and the others not at all. Lossy.

    The arrays themselves show which, so decoding needs no stage.
    """

    @abstractmethod
    def chosen(self, arrays: Sequence[Array], held: Sequence[Array]) -> list[Positions]:
        """Return the places in each flat array of the changes to send, ascending."""

    def changed(self, arrays: Sequence[Array], held: Sequence[Array] | None) -> list[Array]:
        """Return the arrays with the receiver's weights for all other candidates."""
        if held is None:
            return list(arrays)
        parts = []
        for array, near, places in zip(arrays, held, self.chosen(arrays, held), strict=True):
            layer = canonical_zeros(np.ascontiguousarray(array).reshape(-1))
            travels = (layer == 0) | (near == 0) | ~np.isfinite(near)
            made = np.where(travels, layer, near)
            made[places] = layer[places]
            parts.append(made.reshape(array.shape))
        return parts


def kept_count(steps: int, total: int) -> int:
    """Return ``F n`` rounded half up, without floats; at least 1, but 0 for n = 0."""
    return max((2 * steps * total + STEPS) // (2 * STEPS), min(total, 1))
