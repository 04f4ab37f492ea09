"""From a spec such as ``zlib:9`` to the codec that it names.

Specs with stages in front, and their short forms, are resolved by ``flwr_gan.wire.stages``, which
builds on this package and is therefore looked up by name.
"""

import importlib
import importlib.util
from typing import Any

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire.codecs import installed
from flwr_gan.wire.codecs.base import Codec
from flwr_gan.wire.codecs.settings import unknown_word

# Name, wire number (permanent: append, never reuse), class or row with ``from_spec``.
_CODECS = (
    ("raw", 0, "flwr_gan.wire.codecs.library:RawCodec"),
    ("zlib", 1, "flwr_gan.wire.codecs.library:ZLIB"),
    ("lzma", 2, "flwr_gan.wire.codecs.library:LZMA"),
    ("bz2", 3, "flwr_gan.wire.codecs.library:BZ2"),
    ("zstd", 4, "flwr_gan.wire.codecs.library:ZSTD"),
    ("pcodec", 5, "flwr_gan.wire.codecs.pcodec_codec:PcodecCodec"),
    ("paq9a", 6, "flwr_gan.wire.codecs.paq9a:PAQ9A"),
    ("sparse", 7, "flwr_gan.wire.codecs.sparse.codec:SparseCodec"),
    ("csr", 8, "flwr_gan.wire.codecs.elements:CsrCodec"),
    ("rle", 9, "flwr_gan.wire.codecs.elements:RleCodec"),
    ("csc", 10, "flwr_gan.wire.codecs.elements:CscCodec"),
)
_OPTIONAL = {"pcodec": "pcodec", "paq9a": "numba"}

_CHOOSING = {"auto": "flwr_gan.wire.codecs.auto:AutoCodec"}
"""Choosers of one of these codecs for each payload; they have no wire number."""

_STAGED_SPECS = "flwr_gan.wire.stages.pipeline"


def codec_names() -> tuple[str, ...]:
    """Return the names of the codecs that are installed, the first words of their specs."""
    return tuple(
        name
        for name, _, _ in _CODECS
        if name not in _OPTIONAL or importlib.util.find_spec(_OPTIONAL[name]) is not None
    )


def get_codec(spec: str) -> Codec:
    """Return the codec that a spec names.

    Parameters
    ----------
    spec : str
        ``NAME``, ``NAME:LEVEL`` or ``sparse:VALUES``, with any stages in front, ``STAGE+NAME``,
        without spaces: ``raw``, ``zlib:9``, ``sparse:int8``, ``quantize:int8:channel+zstd:19``,
        ``prune:magnitude:0.8+quantize:int8:channel+sparse``; or ``auto``, ``auto:MBITS``.

    Raises
    ------
    CodecError
        If there is no such codec, a setting is out of range, or a library is missing.
    """
    if not isinstance(spec, str):
        raise CodecError(f"codec {spec!r} is not a string; allowed: {', '.join(codec_names())}")
    name, *arguments = spec.split(":")
    staged = importlib.import_module(_STAGED_SPECS)
    if staged.is_staged(spec):
        codec: Codec = staged.from_spec(spec)
        return codec
    if name in _CHOOSING:
        chooser: Codec = load(_CHOOSING[name]).from_spec(tuple(arguments))
        return chooser
    return plain_codec(name, tuple(arguments))


def load(reference: str) -> Any:
    """Return the object that ``module:attribute`` names."""
    module, attribute = reference.split(":")
    return getattr(importlib.import_module(module), attribute)


def is_own(name: str) -> bool:
    """Return True if the package has a codec of this name, installed or not."""
    return name in _CHOOSING or any(name == known for known, _, _ in _CODECS)


def plain_codec(name: str, arguments: tuple[str, ...]) -> Codec:
    """Return the codec ``name`` with the words after it in its spec."""
    references = {known: reference for known, _, reference in _CODECS}
    if name in references:
        own: Codec = load(references[name]).from_spec(arguments)
        return own
    others = installed.names(installed.CODECS)
    if name not in others:
        raise unknown_word("codec", name, (*references, *_CHOOSING, *others))
    codec: Codec = installed.named(installed.CODECS, name).from_spec(arguments)
    return codec


def codec_by_id(wire_id: int) -> Codec:
    """Return the codec with this wire number, at its default settings (enough to decode).

    Raises
    ------
    PayloadError
        If no codec has that number, or its library is not installed.
    """
    for name, number, _ in _CODECS:
        if number == wire_id:
            try:
                return plain_codec(name, ())
            except CodecError as error:
                raise PayloadError(f"payload is coded with {name}: {error}") from error
    codec: Codec = installed.numbered(installed.CODECS, wire_id).from_spec(())
    return codec
