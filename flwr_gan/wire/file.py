"""Payload files, ``.fgan``: one payload with its full template, and nothing else."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flwr_gan.core.atomic import write_bytes
from flwr_gan.errors import OutputError, PayloadError
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.base import DEFAULT_MAX_BYTES
from flwr_gan.wire.header import embed_template
from flwr_gan.wire.payload import decode_payload, encode_payload
from flwr_gan.wire.template import Template


def save(
    path: str | os.PathLike[str],
    content: bytes | Mapping[str, Any],
    template: Template | None = None,
    *,
    codec: str = "sparse",
) -> None:
    """Write a ``.fgan`` file, complete or not at all.

    Parameters
    ----------
    path : path-like
        The file to write.
    content : bytes or mapping of str to numpy.ndarray
        A payload as it was sent, or arrays to code.
    template : Template, optional
        Template of the payload; needed if the payload does not contain it.
    codec : str, default="sparse"
        Codec spec for arrays; a payload stays as it is.

    Raises
    ------
    CodecError
        If the arrays cannot be coded.
    PayloadError
        If the payload is damaged, or its template is missing or wrong.
    OutputError
        If the file cannot be written.
    """
    if isinstance(content, Mapping):
        payload = encode_payload(content, codec=codec)
    else:
        payload = embed_template(bytes(content), template)
    write_bytes(Path(path), payload)


def load(
    path: str | os.PathLike[str],
    *,
    base: Mapping[str, Any] | None = None,
    max_bytes: int | None = DEFAULT_MAX_BYTES,
) -> dict[str, Array]:
    """Read a ``.fgan`` file and return its arrays.

    Parameters
    ----------
    path : path-like
        The file to read.
    base : mapping of str to numpy.ndarray, optional
        Arrays that the payload is coded relative to, if any.
    max_bytes : int or None
        Maximum total bytes of the arrays; None for a trusted file.

    Raises
    ------
    PayloadError
        If the file is no payload, is truncated, damaged, or of another version.
    OutputError
        If the file cannot be read.
    """
    payload = read_payload_file(path)
    try:
        return decode_payload(payload, base=base, max_bytes=max_bytes)
    except PayloadError as error:
        raise PayloadError(f"{Path(path)}: {error}") from error


def read_payload_file(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a file, or raise ``OutputError``."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise OutputError(f"{Path(path)} cannot be read: {error.strerror or error}") from error
