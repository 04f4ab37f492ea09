"""What all stages share: the form of their result, error feedback, and their registry."""

import importlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from flwr_gan.codecs.arrays import Array, canonical_zeros
from flwr_gan.codecs.registry import unknown_word
from flwr_gan.codecs.stage import Positions
from flwr_gan.errors import CodecError, PayloadError

# Name, number on the wire (permanent: append, never reuse), module. A stage is one module with
# ``from_spec(arguments)`` and ``from_parameter(parameter)``.
_STAGES = (
    ("quantize", 1, "flwr_gan.compress.quantize"),
    ("cast", 2, "flwr_gan.compress.cast"),
)


@dataclass(frozen=True)
class Coded:
    """One array as codes.

    Parameters
    ----------
    codes : numpy.ndarray, shape (k,)
        One code for each survivor.
    positions : numpy.ndarray of int64, shape (k,)
        Where the survivors are in the flat array.
    side : numpy.ndarray of float32
        Numbers that belong to the whole array, such as scales.
    shape : tuple of int
        Shape of the array.
    """

    codes: Array
    positions: Positions
    side: Array
    shape: tuple[int, ...]


class Stage(ABC):
    """A lossy coding of weights one by one; pruned weights stay exactly zero, others non-zero.

    Attributes
    ----------
    spec : str
        The stage with its settings, such as ``"quantize:int8:layer"``.
    parameter : int
        The settings as a byte of the payload.
    allows_base : bool
        True if codes may stand for differences to a base.
    code_dtype : numpy.dtype
        Type of the codes.
    zero_code : int
        Code that stands for a survivor whose own code is 0, where pruned weights have code 0 too.
    """

    name: ClassVar[str]
    wire_id: ClassVar[int]
    spec: str
    parameter: int
    code_dtype: Any
    allows_base: bool
    zero_code: int

    @abstractmethod
    def side_count(self, shape: tuple[int, ...]) -> int:
        """Return how many float32 numbers are kept for an array of this shape."""

    @abstractmethod
    def check_side(self, side: Array) -> None:
        """Raise ``PayloadError`` if these numbers cannot have been written."""

    @abstractmethod
    def measure(self, values: Array, positions: Positions, shape: tuple[int, ...]) -> Array:
        """Return the numbers to keep for the survivors of one array, or raise ``CodecError``."""

    @abstractmethod
    def to_codes(
        self,
        values: Array,
        positions: Positions,
        shape: tuple[int, ...],
        side: Array,
        base: Array | None,
    ) -> Array:
        """Return a code for each survivor, or raise ``CodecError``."""

    @abstractmethod
    def from_codes(
        self,
        codes: Array,
        positions: Positions,
        shape: tuple[int, ...],
        side: Array,
        base: Array | None,
    ) -> Array:
        """Return the float32 weights of these codes."""

    @abstractmethod
    def error_bound(self, coded: Coded) -> Array:
        """Return the largest possible error of each survivor, float64."""

    def encode(self, array: Array, residual: Array | None = None) -> tuple[Coded, Array]:
        """Code one float32 array, with error feedback.

        Parameters
        ----------
        array : numpy.ndarray of float32
            Weights; zeros count as pruned.
        residual : numpy.ndarray of float32, optional
            What the coding before this one left over; it is added to the survivors first.

        Returns
        -------
        coded : Coded
            The codes.
        residual : numpy.ndarray of float32
            What this coding leaves over: wanted minus decoded weights, zero where pruned.

        Raises
        ------
        CodecError
            If the array is not float32 or a value cannot be coded.
        """
        if array.dtype != np.float32:
            raise CodecError(f"stage {self.spec} codes float32 arrays, not {array.dtype}")
        flat = canonical_zeros(np.ascontiguousarray(array).reshape(-1))
        positions = np.flatnonzero(flat)
        wanted = flat[positions]
        if residual is not None:
            wanted = wanted + residual.reshape(-1)[positions]
        side = self.measure(wanted, positions, array.shape)
        codes = self.to_codes(wanted, positions, array.shape, side, None)
        coded = Coded(codes, positions, side, array.shape)
        left = np.zeros(flat.size, np.float32)
        got = self.from_codes(codes, positions, array.shape, side, None)
        left[positions] = lost(wanted, got)
        return coded, left.reshape(array.shape)

    def decode(self, coded: Coded) -> Array:
        """Return the float32 array of a ``Coded``."""
        flat = np.zeros(int(np.prod(coded.shape, dtype=np.int64)), np.float32)
        flat[coded.positions] = self.from_codes(
            coded.codes, coded.positions, coded.shape, coded.side, None
        )
        return flat.reshape(coded.shape)


def lost(wanted: Array, got: Array) -> Array:
    """Return ``wanted - got``, and 0 where one of them is not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        difference = wanted - got
    return np.where(np.isfinite(difference), difference, np.float32(0))


def stage_names() -> tuple[str, ...]:
    """Return the names of all stages, the first words of their specs."""
    return tuple(name for name, _, _ in _STAGES)


def get_stage(spec: str) -> Stage:
    """Return the stage that a spec names, such as ``quantize:int8:layer``.

    Raises
    ------
    CodecError
        If there is no such stage or a setting is out of range.
    """
    name, *arguments = spec.split(":")
    modules = {known: module for known, _, module in _STAGES}
    if name not in modules:
        raise unknown_word("stage", name, stage_names())
    stage: Stage = importlib.import_module(modules[name]).from_spec(tuple(arguments))
    return stage


def stage_by_id(wire_id: int, parameter: int) -> Stage:
    """Return the stage with a number in a payload, or raise ``PayloadError``."""
    for _, number, module in _STAGES:
        if number == wire_id:
            stage: Stage = importlib.import_module(module).from_parameter(parameter)
            return stage
    raise PayloadError(f"payload names stage number {wire_id}, which this version does not know")
