"""Accepted arrays: numpy arrays, torch tensors, and objects with ``__array__``."""

import sys
from typing import Any

import numpy as np

from flwr_gan.errors import CodecError
from flwr_gan.wire.codecs.arrays import BFLOAT16, Array, check_dimensions, check_encodable


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
    if not is_bfloat16(array.dtype):
        return check_encodable(array, name)
    check_dimensions(array, name)
    return np.asarray(array.view(BFLOAT16), order="C")


def is_bfloat16(dtype: np.dtype[Any]) -> bool:
    """Return True for ``V2``, and for bfloat16 of ``ml_dtypes``."""
    return dtype == BFLOAT16 or (dtype.itemsize == 2 and dtype.name == "bfloat16")


def _from_tensor(tensor: Any, name: str, torch: Any) -> Array:
    is_sparse = tensor.layout != torch.strided
    kinds = (
        (tensor.is_nested, "nested", "send its parts as arrays of their own"),
        (tensor.is_meta, "meta", "it has no values; materialise it first"),
        (tensor.is_quantized, "quantised", "use .int_repr() and its scales, or .dequantize()"),
        (
            is_sparse,
            "sparse",
            "use .to_dense(), whose zeros cost next to nothing with the codec sparse",
        ),
    )
    for found, kind, remedy in kinds:
        if found:
            raise CodecError(f"{name}: a {kind} tensor cannot be coded; {remedy}")
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


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
