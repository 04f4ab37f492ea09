"""The form in which an array is given to the codec, and the way back."""

from dataclasses import dataclass

import numpy as np

from flwr_gan.wire.codecs.arrays import BFLOAT16, Array, ArraySpec, canonical_zeros
from flwr_gan.wire.codecs.base import Codec
from flwr_gan.wire.codecs.library import RawCodec
from flwr_gan.wire.codecs.sparse.parts import is_weight
from flwr_gan.wire.floats import (
    DOUBLE,
    apply_corrections,
    corrected_float32,
    exact_float32,
    from_float32,
    is_float,
)
from flwr_gan.wire.table import AS_FLOAT32, CORRECTED, PLAIN

_LEAST_VALUES = 16
"""Arrays with fewer values are shorter as they are."""

_MANY_VALUES = 1 << 12
_FEW_ZEROS = 1 / 64
_BLOCK = 1 << 15
_NEGATIVE_ZERO = 0x8000


@dataclass(frozen=True)
class Formed:
    """An array in a form of the array table, ready for a codec; with corrections, int32."""

    form: int
    array: Array
    corrections: Array | None = None


def exact_form(array: Array, *, codec: Codec, strict: bool, has_base: bool = False) -> Formed:
    """Return the form in which an array keeps every value, for a lossless codec.

    Codecs of weights (``sparse``) get all float types as float32, except, without a base, long
    arrays of 16-bit types with few zeros, which stay as they are. Codecs of bytes get float32 only
    for float64 arrays that are exactly float32. ``raw`` gets everything as it is, and every codec
    gets short arrays as they are.
    """
    raw = isinstance(codec, RawCodec)
    convertible = is_float(array.dtype) and not is_weight(array.dtype)
    if convertible and not raw and array.size >= _LEAST_VALUES:
        double = array.dtype.newbyteorder("<") == DOUBLE
        dense = not (double or has_base) and array.size >= _MANY_VALUES and _is_dense(array)
        if double or not (codec.general or dense):
            single = exact_float32(array)
            if single is not None:
                return Formed(AS_FLOAT32, single)
        if double and not codec.general:
            pair = corrected_float32(array)
            if pair is not None:
                return Formed(CORRECTED, *pair)
    if array.dtype == BFLOAT16:
        # The raw codec of `auto` is different: it does not keep the sign of zeros.
        kept = array if type(codec) is RawCodec else delivered(array, strict=strict)
        return Formed(PLAIN, kept.view("<u2"))
    return Formed(PLAIN, array)


def _is_dense(array: Array) -> bool:
    """Return True if too few 16-bit values are zero for a mask to pay."""
    words = array.reshape(-1).view("u2")
    parts = range(0, len(words), _BLOCK)
    survivors = sum(int(np.count_nonzero(words[at : at + _BLOCK] << 1)) for at in parts)
    return len(words) - survivors <= _FEW_ZEROS * len(words)


def restored(array: Array, corrections: Array | None, spec: ArraySpec) -> Array:
    """Return an array in its own type from the codec's decoded array."""
    if corrections is not None:
        return apply_corrections(array, corrections).astype(spec.dtype, copy=False)
    if array.dtype == spec.dtype:
        return array
    if spec.dtype == BFLOAT16 and array.dtype.kind == "u":
        return array.view(BFLOAT16)
    return from_float32(array, spec.dtype)


def delivered(array: Array, *, strict: bool) -> Array:
    """Return the decoded form of an array that a codec other than ``raw`` codes exactly."""
    if strict:
        return array
    if array.dtype == BFLOAT16:
        words = array.view("<u2")
        negative = words == _NEGATIVE_ZERO
        return np.where(negative, np.uint16(0), words).view(BFLOAT16) if negative.any() else array
    return canonical_zeros(array)
