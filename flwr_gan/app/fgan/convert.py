"""Conversion of files of named arrays between formats; files are written atomically.

``.npz`` is a zip archive with one ``.npy`` file per array, read without numpy's pickles.
``.safetensors`` is read and written by the library of that name. ``.pt`` and ``.onnx`` are only
written, see ``torch_files``.
"""

import importlib
import math
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from flwr_gan.core.atomic import replacing, write_bytes
from flwr_gan.errors import CodecError, ConfigError, OutputError, PayloadError
from flwr_gan.wire import DEFAULT_MAX_BYTES, encode_payload, load
from flwr_gan.wire.codecs.arrays import BFLOAT16, Array
from flwr_gan.wire.inputs import is_bfloat16

_MOST_BESIDE_ARRAYS = 1 << 27
"""Maximum bytes of names, shapes and other metadata of a file; safetensors allows 100 MB."""
_ENDING = ".npy"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_DTYPES = {
    "BOOL": "|b1", "I8": "|i1", "I16": "<i2", "I32": "<i4", "I64": "<i8",
    "U8": "|u1", "U16": "<u2", "U32": "<u4", "U64": "<u8",
    "F16": "<f2", "F32": "<f4", "F64": "<f8", "C64": "<c8", "BF16": BFLOAT16.str,
}  # fmt: skip
_RESERVED = "__metadata__"


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    codec: str | None = None,
    strict: bool = False,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> int:
    """Convert a file of named arrays by the suffixes; return the number of arrays.

    ``.pt`` is a state dict for ``torch.load(..., weights_only=True)``; ``.onnx`` is a generator as
    a graph, from a source with ``generator.json`` in the same folder. Neither is read.

    Names, shapes (0-d too) and dtypes are kept. ``.fgan`` and ``.npz`` keep the order and the byte
    order as well; ``.safetensors`` sorts arrays by dtype and name and is little-endian. `codec`
    (``sparse`` by default) and `strict` (keep -0.0, which otherwise becomes +0.0) are for a
    ``.fgan`` target.

    Raises ``ConfigError`` for an unknown suffix or a setting that does not belong to the target,
    ``CodecError`` if the target's format cannot hold an array or needs a library that is not
    installed, ``DataError`` for ``.onnx`` of a source that is no generator, ``PayloadError`` for a
    source that is damaged, has arrays of more than `max_bytes` or holds Python objects, and
    ``OutputError`` for a file that cannot be read or written.
    """
    source, target = Path(source), Path(target)
    read, kind = _READERS[suffix_of(source, SUFFIXES)], suffix_of(target, TARGET_SUFFIXES)
    if kind != ".fgan" and (codec is not None or strict):
        option = "--codec" if codec is not None else "--strict"
        raise ConfigError(f"{option} is for .fgan files, and {target} is none: drop it")
    try:
        _check_size(source, max_bytes)
        arrays = read(source, max_bytes=max_bytes)
    except OSError as error:
        raise OutputError(f"{source} cannot be read: {error.strerror or error}") from error
    if kind == ".fgan":
        write_bytes(target, encode_payload(arrays, codec=codec or "sparse", strict=strict))
    elif kind in _WRITERS:
        _WRITERS[kind](target, arrays)
    else:
        with whole_installation():
            from flwr_gan.app.fgan.torch_files import write_onnx, write_state_dict
            from flwr_gan.app.generator_file import generator_of
        if kind == ".pt":
            write_state_dict(target, arrays)
        else:
            write_onnx(target, generator_of(arrays, source, max_bytes=max_bytes))
    return len(arrays)


def suffix_of(path: Path, allowed: Sequence[str]) -> str:
    """Return the suffix of a path in small letters, or raise ``ConfigError``."""
    suffix = path.suffix.lower()
    if suffix not in allowed:
        are = "are" if len(allowed) > 1 else "is"
        raise ConfigError(f"{path}: unknown format {suffix!r}; allowed {are} {', '.join(allowed)}")
    return suffix


def _check_size(path: Path, max_bytes: int) -> None:
    """Raise for a file too large for arrays of this many bytes, before reading it."""
    size = path.stat().st_size
    if not path.is_file():
        raise OutputError(f"{path} cannot be read: it is no file")
    if size > max_bytes + _MOST_BESIDE_ARRAYS:
        raise PayloadError(f"{path} has {size} bytes; raise --max-bytes, which is {max_bytes}")


def read_npz(path: Path, *, max_bytes: int) -> dict[str, Array]:
    """Return the arrays of a ``.npz`` file, in its order.

    ``V2`` arrays of numpy are read as bfloat16. Each array's size is checked before allocation:
    ``PayloadError`` if all have more than `max_bytes`, the file is damaged, or one holds Python
    objects.
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
                    arrays[name] = _npy_array(member, f"{path}: {name}", left, max_bytes)
                left -= arrays[name].nbytes
    except (PayloadError, MemoryError, OSError):
        raise
    except Exception as error:  # any error of zipfile, its decompressors and numpy's parser
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PayloadError(f"{path} is no .npz file, or damaged: {reason}") from error
    return arrays


def _npy_array(member: IO[bytes], name: str, left: int, max_bytes: int) -> Array:
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
    flat = _sound(name, np.frombuffer(bytearray(data), dtype))
    return flat.reshape(shape, order="F" if fortran_order else "C")


def write_npz(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write a ``.npz`` file as ``numpy.savez`` does; the same arrays give the same bytes.

    Raises ``CodecError`` if an array is bfloat16, or its name cannot be a file name.
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


def read_safetensors(path: Path, *, max_bytes: int) -> dict[str, Array]:
    """Return the arrays of a ``.safetensors`` file, in its order; bfloat16 as ``V2``.

    Raises ``CodecError`` without the library, and ``PayloadError`` if the file is damaged, its
    arrays have more than `max_bytes` in total, or one has a type that numpy does not have.
    """
    safetensors = _library("safetensors")
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            size = path.stat().st_size - 8 - length
            if size > max_bytes:
                raise PayloadError(f"{path} has arrays of {size} bytes; --max-bytes is {max_bytes}")
        found = safetensors.deserialize(path.read_bytes())
    except safetensors.SafetensorError as error:
        reason = " ".join(str(error).split())
        raise PayloadError(f"{path} is no .safetensors file, or damaged: {reason}") from error
    return {name: _tensor_array(f"{path}: {name}", tensor) for name, tensor in found}


def _tensor_array(name: str, tensor: Mapping[str, Any]) -> Array:
    if tensor["dtype"] not in _DTYPES:
        raise PayloadError(f"{name} is of {tensor['dtype']}, which numpy does not have")
    flat = np.frombuffer(tensor["data"], _DTYPES[tensor["dtype"]])
    return _sound(name, flat).reshape(tensor["shape"])


def _sound(name: str, flat: Array) -> Array:
    """Return the values of an array, or raise ``PayloadError`` if a bool is neither 0 nor 1."""
    if flat.dtype.kind == "b" and flat.size and flat.view(np.uint8).max() > 1:
        raise PayloadError(f"{name} of bool has a byte that is neither 0 nor 1")
    return flat


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
        given[name] = np.asarray(array, order="C")  # safetensors 0.8.0 writes memory as it lies
    with replacing(path) as temporary:
        try:
            by_numpy.save_file(given, temporary)
        except safetensors.SafetensorError as error:
            reason = " ".join(str(error).split())
            raise OutputError(f"cannot write {path}: {reason}") from error


@contextmanager
def whole_installation() -> Iterator[None]:
    """Import modules that need torch only here: it takes a second, and payloads do not need it.

    Raises ``CodecError`` if a library is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise CodecError(
            f"this needs {error.name}, which is not installed: pip install flwr-gan, without "
            "--no-deps"
        ) from error


def optional(name: str, *, what: str, extra: str) -> Any:
    """Return a module that an extra installs; ``CodecError`` says what needs it if it is absent."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        library = name.split(".")[0]
        raise CodecError(f"{what} need {library}: pip install 'flwr-gan[{extra}]'") from error


_library = partial(optional, what=".safetensors files", extra="safetensors")
_READERS: dict[str, Callable[..., dict[str, Array]]] = {
    ".fgan": load,
    ".npz": read_npz,
    ".safetensors": read_safetensors,
}
_WRITERS: dict[str, Callable[[Path, Mapping[str, Array]], None]] = {
    ".npz": write_npz,
    ".safetensors": write_safetensors,
}
SUFFIXES = tuple(_READERS)
TARGET_SUFFIXES = (*SUFFIXES, ".pt", ".onnx")
