"""Base of all stages that code weight by weight: the form of their result, error feedback.

The codec decides whether a stage is given weights or their differences to a base: a stage sees only
numbers, and ``from_codes`` adds the base where one is given. The stages themselves are in
``flwr_gan.wire.stages``.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire.codecs.arrays import Array, canonical_zeros, extremes
from flwr_gan.wire.codecs.places import Places
from flwr_gan.wire.codecs.scaling import LARGEST, as_float32, without_zeros
from flwr_gan.wire.codecs.settings import Configured
from flwr_gan.wire.codecs.sparse.values import Numbers

FINE_BITS = 4
"""Bits of a code from which on a stage counts as fine."""


@dataclass(frozen=True)
class Coded:
    """One array as codes.

    Parameters
    ----------
    codes : numpy.ndarray, shape (k,)
        One code for each survivor.
    places : Places
        Where the survivors are.
    side : numpy.ndarray
        Numbers that belong to the whole array, such as scales.
    largest_error : float
        Measured by the encoder: the largest difference between a weight and its decoded value.
    """

    codes: Array
    places: Places
    side: Array
    largest_error: float


class Stage(Configured, ABC):
    """A lossy coding of single weights; pruned weights stay exactly zero, others nonzero.

    Codes stand for weights, or for differences of weights to the receiver's weights: a stage does
    not know which. A difference may be zero, and so may its decoded value.

    Attributes
    ----------
    contractive : bool
        True if error feedback makes up for the loss: a norm of the residual (Euclidean or largest
        magnitude) is never above that of the input.
    unbiased : str or None
        Spec of the unbiased form, whose mean over many draws is the input; None if this is it.
    decodes_finite : bool
        True if all codes are decoded to finite numbers, also as differences to finite numbers.
    keeps_sign : bool
        True if weights (not differences) never change their sign by coding, except for the tiny
        positive numbers that stand for zero.
    fine : bool
        True if the loss is so small that products of coded numbers, such as the factors of a
        layer, lose little too.
    keeps_still : bool
        True if a difference of 0 is decoded to 0, so that unchanged weights stay unchanged.
    shared : bool
        True if all arrays of a payload share their side numbers.
    block_length : int
        Number of consecutive coded weights that share a side number; 0 if the groups of weights
        are not such blocks.
    code_dtype : numpy.dtype
        Type of the codes, int8 by default.
    lowest, highest : int
        The first and the last code.
    zero_code : int or None
        Code that replaces a survivor's code 0 where pruned weights also have code 0; 0 if no code
        is 0; None if all numbers of the type are codes.
    side_dtype : numpy.dtype
        Type of the side numbers, float32 by default.
    """

    code_dtype: Any = np.dtype(np.int8)
    lowest: int
    highest: int
    zero_code: int | None
    side_dtype: Any = np.dtype("<f4")
    contractive: bool = True
    unbiased: str | None = None
    decodes_finite: bool = False
    keeps_sign: bool = False
    fine: bool = True
    keeps_still: bool = True
    shared: bool = False
    block_length: int = 0

    def set_codes(self, lowest: int, highest: int) -> None:
        """Set the first and the last code; the code for a survivor's 0 is just below the first."""
        self.lowest, self.highest = lowest, highest
        self.zero_code = lowest - 1 if lowest > np.iinfo(self.code_dtype).min else None

    @abstractmethod
    def side_count(self, shape: tuple[int, ...]) -> int:
        """Return the number of side numbers of an array of this shape."""

    @abstractmethod
    def check_side(self, side: Array) -> None:
        """Raise ``PayloadError`` if no encoder can have written these numbers."""

    @abstractmethod
    def measure(self, values: Array, places: Places) -> Array:
        """Return the side numbers for the survivors of one array, or raise ``CodecError``."""

    def measure_all(self, values: Sequence[Numbers], places: Sequence[Places]) -> list[Array]:
        """Return the side numbers to write: of each array, or those shared by all."""
        if not (self.shared and places):
            return [self.measure(part[:], at) for part, at in zip(values, places, strict=True)]
        joined = np.concatenate([part[:] for part in values])
        (shape,) = side_shapes(self, [of_one.shape for of_one in places])
        return [self.measure(joined, Places(range(len(joined)), shape))]

    @abstractmethod
    def coded(self, values: Array, places: Places, side: Array) -> Array:
        """Return a code for each survivor, or raise ``CodecError``."""

    @abstractmethod
    def decoded(self, codes: Array, places: Places, side: Array) -> Array:
        """Return the numbers for these codes, which are from ``lowest`` to ``highest``.

        They are float64 and may be zero; float32 if they need no rounding and may be infinite.
        """

    def scales(self, places: Places, side: Array) -> Array:
        """Return the scale of each place, or one for all; 0 if the stage has none."""
        return np.zeros(1)

    def for_differences(self) -> "Stage":
        """Return the stage that codes differences to a base: this one by default."""
        return self

    def from_codes(
        self,
        codes: Array,
        places: Places,
        side: Array,
        near: Array | None = None,
        out: Array | None = None,
    ) -> Array:
        """Return the float32 weights of these codes, or raise ``PayloadError``.

        ``near`` are the receiver's weights in these places, if codes stand for differences to
        them. A stage may write the result to ``out`` and return that.
        """
        self.check_codes(codes)
        exact = self.decoded(codes, places, side)
        if near is not None:
            exact = near + exact.astype(np.float64, copy=False)
        # Numbers that need no rounding are not limited: they may be infinite.
        weights = exact if exact.dtype == np.float32 else as_float32(exact)
        return without_zeros(weights, self.scales(places, side))

    def check_codes(self, codes: Array) -> None:
        """Raise ``PayloadError`` if ``coded`` cannot have returned a code."""
        if len(codes) and not (self.lowest <= codes.min() and codes.max() <= self.highest):
            raise PayloadError(f"{self.spec}: a code is out of range")

    def at_once(self, coded: Array, ends: Array, near: Array) -> Array | None:
        """Return None: there is no faster way than single steps."""
        return None

    def error_bound(self, coded: Coded) -> Array:
        """Return the largest possible error of each survivor, float64.

        Where the codes do not limit it, as where the largest weights are clipped, it is the error
        that the encoder measured.
        """
        bound: Array = np.full(len(coded.codes), coded.largest_error)
        return bound

    def encode(self, array: Array, residual: Array | None = None) -> tuple[Coded, Array]:
        """Code one float32 array, with error feedback.

        Parameters
        ----------
        array : numpy.ndarray of float32
            Weights; zeros count as pruned.
        residual : numpy.ndarray of float32, optional
            Residual of the previous coding; it is added to the survivors first.

        Returns
        -------
        coded : Coded
            The codes.
        residual : numpy.ndarray of float32
            Residual of this coding: wanted minus decoded weights, zero where pruned.

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
        places = Places(positions, array.shape)
        side = self.measure(wanted, places)
        codes = self.coded(wanted, places, side)
        left = np.zeros(flat.size, np.float32)
        got = self.from_codes(codes, places, side)
        left[positions] = lost(wanted, got)
        with np.errstate(invalid="ignore"):
            errors = np.abs(wanted.astype(np.float64) - got)
        largest = float(np.max(errors, initial=0.0, where=np.isfinite(errors)))
        return Coded(codes, places, side, largest), left.reshape(array.shape)

    def decode(self, coded: Coded) -> Array:
        """Return the float32 array of a ``Coded``."""
        flat = np.zeros(math.prod(coded.places.shape), np.float32)
        flat[coded.places.positions] = self.from_codes(coded.codes, coded.places, coded.side)
        return flat.reshape(coded.places.shape)


def lost(wanted: Array, got: Array) -> Array:
    """Return ``wanted - got``, and 0 where one of them is not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        difference = wanted - got
    return np.where(np.isfinite(difference), difference, np.float32(0))


def finite_extremes(values: Array, spec: str) -> tuple[float, float]:
    """Return the least and the largest of the values and 0.

    Raises ``CodecError`` if a value is NaN or infinite.
    """
    least, most = extremes(values)
    if not (math.isfinite(least) and math.isfinite(most)):
        raise CodecError(f"{spec} cannot code NaN or infinity; use a lossless codec")
    return least, most


def differences(values: Array, near: Array) -> Array:
    """Return ``values - near``, rounded once to float32 and limited to finite numbers.

    Both are float32, shape (k,). Raises ``CodecError`` if one of them is not finite.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        found: Array = values - near
    if not np.isfinite(found).all():
        if not (np.isfinite(values).all() and np.isfinite(near).all()):
            raise CodecError(
                "a weight or its base is NaN or infinite, so that no lossy stage can code the "
                "difference; use base_use='mask', or a lossless codec"
            )
        found = found.clip(-LARGEST, LARGEST)
    return found


def side_shapes(stage: Stage, shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Return the shapes with their own side numbers: each array, or all arrays as one."""
    if stage.shared and shapes:
        return [(sum(math.prod(shape) for shape in shapes),)]
    return list(shapes)


def side_of_each(stage: Stage, sides: Sequence[Array], count: int) -> list[Array]:
    """Return the side numbers of each of ``count`` arrays, given the written ones."""
    return list(sides) * count if stage.shared and sides else list(sides)
