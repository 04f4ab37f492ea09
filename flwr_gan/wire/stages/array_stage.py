"""Stages that change whole arrays before anything is coded: fewer weights, or other arrays."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.settings import Configured
from flwr_gan.wire.codecs.varint import ByteReader

Shape = tuple[int, ...]


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

    def part_shapes(self, reader: ByteReader, shapes: Sequence[Shape]) -> list[list[Shape]]:
        """Return the shapes of the arrays themselves."""
        return [[shape] for shape in shapes]

    def restore(
        self, parts: Sequence[Array], shape: Shape, near: Array | None = None, known: Any = None
    ) -> Array:
        """Return the only part."""
        return parts[0]
