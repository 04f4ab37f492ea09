"""``.safetensors`` files, by the library of that name."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from flwr_gan.core.atomic import replacing
from flwr_gan.errors import CodecError, OutputError, PayloadError
from flwr_gan.wire.codecs.arrays import BFLOAT16, Array
from flwr_gan.wire.inputs import is_bfloat16

_DTYPES = {
    "BOOL": "|b1", "I8": "|i1", "I16": "<i2", "I32": "<i4", "I64": "<i8",
    "U8": "|u1", "U16": "<u2", "U32": "<u4", "U64": "<u8",
    "F16": "<f2", "F32": "<f4", "F64": "<f8", "C64": "<c8", "BF16": BFLOAT16.str,
}  # fmt: skip
_RESERVED = "__metadata__"


def read_safetensors(path: Path, *, max_bytes: int) -> dict[str, Array]:
    """Return the arrays of a ``.safetensors`` file, in its order; bfloat16 as ``V2``.

    Raises ``CodecError`` without the library, and ``PayloadError`` if the file is damaged, its
    arrays have more than `max_bytes` together, or one is of a type that numpy does not have.
    """
    safetensors = _library("safetensors")
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            size = path.stat().st_size - 8 - length
            if size > max_bytes:
                raise PayloadError(f"{path} has arrays of {size} bytes; --max-bytes is {max_bytes}")
        found = safetensors.deserialize(path.read_bytes())
    except OSError as error:
        raise OutputError(f"{path} cannot be read: {error.strerror or error}") from error
    except safetensors.SafetensorError as error:
        reason = " ".join(str(error).split())
        raise PayloadError(f"{path} is no .safetensors file, or damaged: {reason}") from error
    return {name: _array(f"{path}: {name}", tensor) for name, tensor in found}


def _array(name: str, tensor: Mapping[str, Any]) -> Array:
    if tensor["dtype"] not in _DTYPES:
        raise PayloadError(f"{name} is of {tensor['dtype']}, which numpy does not have")
    flat = np.frombuffer(tensor["data"], _DTYPES[tensor["dtype"]])
    if flat.dtype.kind == "b" and flat.size and flat.view(np.uint8).max() > 1:
        raise PayloadError(f"{name} of bool has a byte that is neither 0 nor 1")
    return flat.reshape(tensor["shape"])


def write_safetensors(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write a ``.safetensors`` file; ``CodecError`` if the format has no such type or name."""
    safetensors, by_numpy = _library("safetensors"), _library("safetensors.numpy")
    allowed = {np.dtype(code) for code in _DTYPES.values()}
    given = {}
    for name, array in arrays.items():
        if is_bfloat16(array.dtype):
            array = array.view(_library("ml_dtypes").bfloat16)
        elif array.dtype.newbyteorder("<") not in allowed:
            raise CodecError(
                f"{path}: {name} is of {array.dtype}, which .safetensors does not have: choose "
                ".npz or .fgan"
            )
        if name == _RESERVED:
            raise CodecError(f"{path}: {name} cannot be the name of an array in .safetensors")
        given[name] = np.asarray(array, order="C")
    with replacing(path) as temporary:
        try:
            by_numpy.save_file(given, temporary)
        except safetensors.SafetensorError as error:
            reason = " ".join(str(error).split())
            raise OutputError(f"cannot write {path}: {reason}") from error


def _library(name: str) -> Any:
    """Return a module that not everybody needs."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise CodecError(
            f".safetensors files need {name.split('.')[0]}: pip install 'flwr-gan[safetensors]'"
        ) from error
