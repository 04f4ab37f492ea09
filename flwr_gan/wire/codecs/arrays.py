"""Which arrays can be coded, and how their zeros are made canonical first."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire.codecs import compiled

Array = np.ndarray[Any, np.dtype[Any]]

_WHOLE = ("|b1", "|i1", "|u1", "<i2", "<i4", "<i8", "<u2", "<u4", "<u8")
DTYPES = (*_WHOLE, "<f2", "<f4", "<f8", "<c8", "<c16")
"""Element types that a codec can code, little-endian."""

BFLOAT16 = np.dtype("V2")
"""bfloat16, the upper half of a float32, in arrays here: numpy has no such type."""

WIRE_TYPES = (*DTYPES, BFLOAT16.str)
"""Element types that a payload can hold; a type's index is its wire number."""

_FEW, _PART = 1 << 12, 1 << 16
_SIGN = 1 << 31

MAX_DIMS = 32
MAX_ELEMENTS = (1 << 32) - 1


@dataclass(frozen=True)
class ArraySpec:
    """Shape and dtype of an array that has not been decoded yet.

    Parameters
    ----------
    shape : tuple of int
        Lengths of the axes.
    dtype : numpy.dtype
        One of ``WIRE_TYPES``, in either byte order.

    Raises
    ------
    PayloadError
        If the shape or the dtype is not one that can be coded.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __post_init__(self) -> None:
        if self.dtype.newbyteorder("<").str not in WIRE_TYPES or self.dtype.fields is not None:
            raise PayloadError(f"dtype {self.dtype} cannot be decoded; allowed: {allowed_types()}")
        if len(self.shape) > MAX_DIMS or any(length < 0 for length in self.shape):
            raise PayloadError(f"shape {self.shape} cannot be decoded; at most {MAX_DIMS} axes")
        if math.prod(length or 1 for length in self.shape) > MAX_ELEMENTS:
            raise PayloadError(f"shape {self.shape} is too large to be decoded")

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Length of the decoded array in bytes."""
        return self.size * self.dtype.itemsize


def check_encodable(array: Array, name: str = "array") -> Array:
    """Return ``array`` as C-contiguous, or raise ``CodecError`` if its dtype cannot be coded."""
    if array.dtype.newbyteorder("<").str not in DTYPES:
        raise CodecError(
            f"{name}: dtype {array.dtype} cannot be coded; allowed: {allowed_types()}; "
            "convert the array or leave it out"
        )
    check_dimensions(array, name)
    # np.ascontiguousarray would turn a 0-d array into a 1-d array.
    return np.asarray(array, order="C")


def check_dimensions(array: Array, name: str) -> None:
    """Raise ``CodecError`` if an array has more axes or elements than can be coded."""
    if array.ndim > MAX_DIMS:
        raise CodecError(f"{name}: {array.ndim} axes cannot be coded; at most {MAX_DIMS}")
    if math.prod(length or 1 for length in array.shape) > MAX_ELEMENTS:
        raise CodecError(f"{name}: {array.size} elements cannot be coded; at most {MAX_ELEMENTS}")


def canonical_zeros(array: Array) -> Array:
    """Return ``array`` with every -0.0 replaced by +0.0; all other bits stay, also those of NaN.

    Pruning by ``weight * mask`` leaves a random sign on half of all pruned weights: one bit of
    noise each, which no codec can remove. The array is copied only if it has to be changed.
    """
    if array.dtype.kind not in "fc" or not array.size:
        return array
    parts = array.view(array.real.dtype) if array.dtype.kind == "c" and array.ndim else array
    if parts.dtype.kind == "c":
        return canonical_zeros(parts.reshape(1)).reshape(())
    words = np.ascontiguousarray(parts).view(f"{parts.dtype.byteorder}u{parts.dtype.itemsize}")
    negative_zero, flat = 1 << 8 * words.dtype.itemsize - 1, words.reshape(-1)
    # Part by part, so that numpy's results stay in the cache.
    starts = range(0, len(flat), _PART)
    if not any((flat[at : at + _PART] == negative_zero).any() for at in starts):
        return array
    cleaned = parts.copy()
    cleaned[(words == negative_zero).reshape(parts.shape)] = 0
    return cleaned.view(array.dtype)


def extremes(values: Array) -> tuple[float, float]:
    """Return the least and the largest of float32 values and 0; both NaN if a value is NaN."""
    loops = compiled.kernels() if values.size > _FEW and values.flags.c_contiguous else None
    if loops is None or values.dtype != "<f4":
        # Added to 0, a -0.0 is 0.
        return float(values.min(initial=0)) + 0.0, float(values.max(initial=0)) + 0.0
    # As bits, positive floats ascend; negative floats follow them, ascending in magnitude.
    most, least = loops.extreme_bits(values.reshape(-1).view(np.int32))
    bits = [least if least > _SIGN else 0, max(most, 0)]
    lowest, highest = np.array(bits, np.uint32).view(np.float32).tolist()
    unknown = math.isnan(lowest) or math.isnan(highest)
    return (math.nan, math.nan) if unknown else (lowest, highest)


def own_copy(array: Array) -> Array:
    """Return the array, or a copy if it is a view of other memory; the result may be changed."""
    return array if array.flags.writeable else array.copy()


def allowed_types() -> str:
    """Return the names of all types that a payload can hold, such as ``float32``."""
    types = map(np.dtype, WIRE_TYPES)
    return ", ".join("bfloat16" if dtype == BFLOAT16 else dtype.name for dtype in types)
