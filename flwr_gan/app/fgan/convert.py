"""Files of named arrays from one format to another, each written completely or not at all."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from flwr_gan.app.fgan.npz import read_npz, write_npz
from flwr_gan.app.fgan.safetensors_file import read_safetensors, write_safetensors
from flwr_gan.core.atomic import write_bytes
from flwr_gan.errors import ConfigError, OutputError, PayloadError
from flwr_gan.wire import DEFAULT_MAX_BYTES, encode_payload, load
from flwr_gan.wire.codecs.arrays import Array

_MOST_BESIDE_ARRAYS = 1 << 27
"""Names, shapes and whatever else a file holds beside its arrays; safetensors allows 100 MB."""


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    codec: str | None = None,
    strict: bool = False,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> int:
    """Convert a file of named arrays; the suffixes say from what to what. Returns their number.

    Names, shapes (0-d too) and dtypes are kept. ``.fgan`` and ``.npz`` keep the order and the byte
    order as well; ``.safetensors`` sorts arrays by dtype and name and is little-endian. `codec`
    (``sparse`` by default) and `strict` (keep -0.0, which else becomes +0.0) are for a ``.fgan``
    target.

    Raises ``ConfigError`` for an unknown suffix or a setting that is not the target's,
    ``CodecError`` where the target's format cannot hold an array or needs a library that is not
    installed, ``PayloadError`` for a source that is damaged, has arrays of more than `max_bytes` or
    holds Python objects, and ``OutputError`` for a file that cannot be read or written.
    """
    source, target = Path(source), Path(target)
    read, kind = _READERS[_suffix(source)], _suffix(target)
    if kind != ".fgan" and (codec is not None or strict):
        option = "--codec" if codec is not None else "--strict"
        raise ConfigError(f"{option} is for .fgan files, and {target} is none: drop it")
    _check_size(source, max_bytes)
    arrays = read(source, max_bytes=max_bytes)
    if kind == ".fgan":
        write_bytes(target, encode_payload(arrays, codec=codec or "sparse", strict=strict))
    else:
        _WRITERS[kind](target, arrays)
    return len(arrays)


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


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(f"{path}: unknown format {suffix!r}; allowed are {', '.join(SUFFIXES)}")
    return suffix


def _check_size(path: Path, max_bytes: int) -> None:
    """Raise before a file is read that is larger than any with arrays of so many bytes."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise OutputError(f"{path} cannot be read: {error.strerror}") from error
    if not path.is_file():
        raise OutputError(f"{path} cannot be read: it is no file")
    if size > max_bytes + _MOST_BESIDE_ARRAYS:
        raise PayloadError(f"{path} has {size} bytes; raise --max-bytes, which is {max_bytes}")
