"""Accepted arrays: numpy arrays, torch tensors, and objects with ``__array__``."""

import sys
from typing import Any

import numpy as np

from flwr_gan.errors import CodecError
from flwr_gan.wire.codecs.arrays import (
    BFLOAT16,
    DTYPES,
    Array,
    check_dimensions,
    refused_type,
)


def as_array(value: Any, name: str) -> Array:
    """Return a value as a C-contiguous numpy array of a type that a payload can hold.

    It is copied only if necessary. A torch tensor may require gradients, be on any device, and have
    any strides. A bfloat16 array of ``ml_dtypes``, torch or ``np.load`` (``V2``) becomes
    ``BFLOAT16``. Raises ``CodecError`` with the array's name for values without an exact
    conversion: sparse, quantised, nested and meta tensors, masked arrays, objects, strings.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        array = _from_tensor(value, name, torch)
    elif isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise CodecError(f"{name}: a masked array cannot be coded; fill it with .filled() first")
    else:
        try:
            array = np.asarray(value)
        except Exception as error:  # any error of a foreign class's __array__
            raise CodecError(
                f"{name}: {type(value).__name__} is no array ({_first_line(error)}); convert it to "
                "a numpy array first"
            ) from error
    if is_bfloat16(array.dtype):
        array = array.view(BFLOAT16)
    elif array.dtype.newbyteorder("<").str not in DTYPES:
        raise refused_type(array, name)
    check_dimensions(array, name)
    # np.ascontiguousarray would turn a 0-d array into a 1-d array.
    return np.asarray(array, order="C")


def is_bfloat16(dtype: np.dtype[Any]) -> bool:
    """Return True for ``V2``, and for bfloat16 of ``ml_dtypes``."""
    return dtype == BFLOAT16 or (dtype.itemsize == 2 and dtype.name == "bfloat16")


def _from_tensor(tensor: Any, name: str, torch: Any) -> Array:
    kinds = {
        "nested": tensor.is_nested,
        "meta": tensor.is_meta,
        "quantised": tensor.is_quantized,
        "sparse": tensor.layout != torch.strided,
    }
    for kind, found in kinds.items():
        if found:
            raise CodecError(f"{name}: a {kind} tensor cannot be coded; {_REMEDIES[kind]}")
    try:
        plain = tensor.detach().resolve_conj().resolve_neg().cpu()
        if plain.dtype == torch.bfloat16:
            return np.asarray(plain.view(torch.int16).numpy().view(BFLOAT16))
        return np.asarray(plain.numpy())
    except (TypeError, RuntimeError) as error:
        raise CodecError(
            f"{name}: a tensor of {tensor.dtype} cannot be coded ({_first_line(error)}); convert "
            "it to a float or integer type first"
        ) from error


_REMEDIES = {
    "nested": "send its parts as arrays of their own",
    "meta": "it has no values; materialise it first",
    "quantised": "use .int_repr() and its scales, or .dequantize()",
    "sparse": "use .to_dense(), whose zeros cost next to nothing with the codec sparse",
}


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
