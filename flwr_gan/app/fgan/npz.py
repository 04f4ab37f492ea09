"""``.npz`` files: a zip archive with one ``.npy`` file per array, read without numpy's pickles."""

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np

from flwr_gan.core.atomic import replacing
from flwr_gan.errors import CodecError, OutputError, PayloadError
from flwr_gan.wire.codecs.arrays import BFLOAT16, Array
from flwr_gan.wire.inputs import is_bfloat16

_ENDING = ".npy"
_EPOCH = (1980, 1, 1, 0, 0, 0)


def read_npz(path: Path, *, max_bytes: int) -> dict[str, Array]:
    """Return the arrays of a ``.npz`` file, in its order.

    What numpy stores as ``V2`` is taken for bfloat16. Each array's size is checked before memory is
    taken for it: ``PayloadError`` if all have more than `max_bytes`, the file is damaged, or one
    holds Python objects.
    """
    arrays: dict[str, Array] = {}
    left = max_bytes
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                name = info.filename.removesuffix(_ENDING)
                if name in arrays or name == info.filename:
                    why = "there twice" if name in arrays else f"no {_ENDING} file"
                    raise PayloadError(f"{path}: {info.filename} is {why}")
                with archive.open(info) as member:
                    arrays[name] = _read_array(member, f"{path}: {name}", left, max_bytes)
                left -= arrays[name].nbytes
    except (PayloadError, MemoryError):
        raise
    except OSError as error:
        raise OutputError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # whatever zipfile, its decompressors and numpy's parser raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PayloadError(f"{path} is no .npz file, or damaged: {reason}") from error
    return arrays


def _read_array(member: IO[bytes], name: str, left: int, max_bytes: int) -> Array:
    version = np.lib.format.read_magic(member)
    if version != (1, 0):  # later ones, for structured types, have headers of up to 4 GiB
        raise PayloadError(f"{name} has a structured type: only plain arrays are converted")
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(member)
    if dtype.hasobject:
        raise PayloadError(f"{name} holds Python objects, which are never unpickled")
    if dtype.kind not in "biufc" and dtype != BFLOAT16:
        raise PayloadError(f"{name} is of {dtype}: only numbers and bools are converted")
    if any(length < 0 for length in shape):
        raise PayloadError(f"{name} has the shape {shape}")
    size = math.prod(shape) * dtype.itemsize
    if size > left:
        raise PayloadError(f"{name} has {size} bytes, {left} are left of --max-bytes {max_bytes}")
    data = member.read(size)
    if len(data) != size or member.read(1):
        raise PayloadError(f"{name} has {len(data)} bytes or more where {size} belong")
    flat = np.frombuffer(bytearray(data), dtype)
    if dtype.kind == "b" and size and flat.view(np.uint8).max() > 1:
        raise PayloadError(f"{name} of bool has a byte that is neither 0 nor 1")
    return flat.reshape(shape, order="F" if fortran_order else "C")


def write_npz(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write a ``.npz`` file as ``numpy.savez`` does; the same arrays give the same bytes.

    Raises ``CodecError`` if an array is of bfloat16, or its name cannot be that of a file.
    """
    for name, array in arrays.items():
        if is_bfloat16(array.dtype):
            raise CodecError(
                f"{path}: {name} is bfloat16, which .npz does not have: choose .safetensors or "
                ".fgan"
            )
        if "\0" in name or len(name.encode()) > 60_000:
            raise CodecError(f"{path}: {name[:40]!r} cannot be the name of a file inside a .npz")
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in arrays.items():
            info = zipfile.ZipInfo(f"{name}{_ENDING}", _EPOCH)
            with archive.open(info, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
