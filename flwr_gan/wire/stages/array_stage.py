"""Stages that change whole arrays before anything is coded: fewer weights, or other arrays.

Stages on updates let few numbers of what changed since the receiver's last arrays travel. A change
is the difference of a weight to what the receiver holds. Candidates are the weights that survive on
both sides; what was pruned, or has come back, always travels, and everything does where the
receiver holds nothing.
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
"""Over all arrays together, or the same for each."""


class ArrayStage(Configured, ABC):
    """Turns float32 arrays into float32 parts that take fewer bytes, and back. Lossy.

    A stage has no state: the same arrays give the same parts. What it loses is made up for by
    error feedback over the whole payload (``flwr_gan.wire.encode_with_feedback``).

    Attributes
    ----------
    keeps_shapes : bool
        True if each array has one part, of its own shape, so that a base may be used.
    relative : bool
        True if the stage works on changes: differences to what the receiver holds.
    memory : dict of str to numpy.ndarray
        What the call of ``apply`` for the update before left in ``remembered``; for stages that
        remember nothing, nothing.
    momentum : float
        Factor by which a sender's update before is gathered into the next; 0 for most stages.
    unbiased : str or None
        Spec of the stage whose mean over many draws is the update, where this one's is not.
    contractive : bool
        True if error feedback makes up for what is lost: the norm of what is left over is never
        above that of the arrays, and what is left over is sent the sooner, the more it grows.
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
        """Return what the decoder needs to know of the parts, and the parts of each array.

        Parameters
        ----------
        arrays : sequence of numpy.ndarray of float32
            What the receiver should have.
        held : sequence of numpy.ndarray of float32, 1-D, optional
            What it has of each array, flat; only stages that are ``relative`` are given it.

        Raises
        ------
        CodecError
            If an array cannot be changed in this way.
        """

    @abstractmethod
    def part_shapes(self, reader: ByteReader, shapes: Sequence[Shape]) -> list[list[Shape]]:
        """Return the shapes of the parts of each array, read from what ``apply`` returned.

        The parts of all arrays together must not have more weights than the arrays.

        Raises
        ------
        PayloadError
            If ``apply`` cannot have written this.
        """

    def read(
        self, reader: ByteReader, shapes: Sequence[Shape]
    ) -> tuple[list[list[Shape]], list[Any]]:
        """Return ``part_shapes``, and for each array what ``restore`` is to know besides."""
        return self.part_shapes(reader, shapes), [None] * len(shapes)

    @abstractmethod
    def restore(
        self, parts: Sequence[Array], shape: Shape, near: Array | None = None, known: Any = None
    ) -> Array:
        """Return the array of these parts, float32.

        ``near`` is what the receiver holds of it, flat; ``known`` what ``read`` returned.
        """

    @abstractmethod
    def error_bound(self, arrays: Sequence[Array]) -> float:
        """Return the largest possible root of the summed squares of all weights' errors."""


class KeepingStage(ArrayStage):
    """An array stage whose parts have the shapes of the arrays, so that decoding does nothing."""

    keeps_shapes = True

    @abstractmethod
    def changed(self, arrays: Sequence[Array], held: Sequence[Array] | None) -> list[Array]:
        """Return the float32 arrays that travel in the place of these; ``held`` as for ``apply``.

        Raises ``CodecError`` if an array cannot be changed in this way.
        """

    def apply(
        self, arrays: Sequence[Array], held: Sequence[Array] | None = None
    ) -> tuple[bytes, list[list[Array]]]:
        """Return nothing to know, and the changed arrays."""
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
    """What all stages on updates are: relative to what the receiver holds."""

    relative: ClassVar[bool] = True

    def error_bound(self, arrays: Sequence[Array]) -> float:
        """Return the norm of all changes: the stage does not change a weight by more."""
        return float(np.sqrt(sum(float(np.sum(a.astype(np.float64) ** 2)) for a in arrays)))


class SelectingStage(KeepingStage, UpdateStage):
    """Lets some changes travel whole, and none of the others. Lossy.

    Which these are is seen from the arrays alone, so that no stage is needed to decode them.
    """

    @abstractmethod
    def chosen(self, arrays: Sequence[Array], held: Sequence[Array]) -> list[Positions]:
        """Return where in each flat array the changes of candidates are that travel, ascending."""

    def changed(self, arrays: Sequence[Array], held: Sequence[Array] | None) -> list[Array]:
        """Return the arrays with what is held of all other candidates."""
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
    """Return ``F n``, rounded half up, without any float; at least 1, 0 of nothing."""
    return max((2 * steps * total + STEPS) // (2 * STEPS), min(total, 1))
