"""From a spec such as ``zlib:9`` to the codec that it names.

A codec is a module of this package that is listed in ``_CODECS`` and has a function
``from_spec(arguments)``. Specs with stages in front, and the short forms that stand for them,
are resolved by ``flwr_gan.wire.stages``, which builds on this package: it is looked up by name.
"""

import difflib
import importlib
import importlib.util
from collections.abc import Iterable

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire.codecs.base import Codec

# Name, number on the wire (permanent: append, never reuse), module; and what it needs installed.
_CODECS = (
    ("raw", 0, "flwr_gan.wire.codecs.raw"),
    ("zlib", 1, "flwr_gan.wire.codecs.zlib_codec"),
    ("lzma", 2, "flwr_gan.wire.codecs.lzma_codec"),
    ("bz2", 3, "flwr_gan.wire.codecs.bz2_codec"),
    ("zstd", 4, "flwr_gan.wire.codecs.zstd_codec"),
    ("pcodec", 5, "flwr_gan.wire.codecs.pcodec_codec"),
    ("paq9a", 6, "flwr_gan.wire.codecs.paq9a"),
    ("sparse", 7, "flwr_gan.wire.codecs.sparse.codec"),
    ("csr", 8, "flwr_gan.wire.codecs.csr"),
    ("rle", 9, "flwr_gan.wire.codecs.rle"),
)
_OPTIONAL = {"pcodec": "pcodec", "paq9a": "numba"}

_CHOOSING = {"auto": "flwr_gan.wire.codecs.auto"}
"""What chooses one of these codecs for each payload, and has no number of its own."""

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
        chooser: Codec = importlib.import_module(_CHOOSING[name]).from_spec(tuple(arguments))
        return chooser
    return plain_codec(name, tuple(arguments))


def plain_codec(name: str, arguments: tuple[str, ...]) -> Codec:
    """Return the codec ``name`` with the words after it in its spec."""
    modules = {known: module for known, _, module in _CODECS}
    if name not in modules:
        raise unknown_word("codec", name, (*modules, *_CHOOSING))
    codec: Codec = importlib.import_module(modules[name]).from_spec(arguments)
    return codec


def codec_by_id(wire_id: int) -> Codec:
    """Return the codec with a number in a payload, at its default settings (enough to decode).

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
    raise PayloadError(f"payload names codec number {wire_id}, which this version does not know")


def level_argument(
    name: str, arguments: tuple[str, ...], *, default: int, lowest: int, highest: int
) -> int:
    """Return the level in a spec ``name`` or ``name:level``, or raise ``CodecError``."""
    if not arguments:
        return default
    text = arguments[0]
    allowed = f"allowed: {name} or {name}:LEVEL with LEVEL from {lowest} to {highest}"
    if len(arguments) > 1 or not (text.isascii() and text.isdigit() and str(int(text)) == text):
        raise CodecError(f"codec {':'.join((name, *arguments))!r} cannot be read; {allowed}")
    if not lowest <= int(text) <= highest:
        raise CodecError(f"codec {name}:{text}: level {text} is out of range; {allowed}")
    return int(text)


def no_arguments(name: str, arguments: tuple[str, ...]) -> None:
    """Raise ``CodecError`` if a codec without settings was given some."""
    if arguments:
        raise CodecError(f"codec {':'.join((name, *arguments))!r}: {name} takes no settings")


def unknown_word(kind: str, word: str, allowed: Iterable[str]) -> CodecError:
    """Return the error for a word in a spec that is not among those allowed."""
    allowed = tuple(allowed)
    near = difflib.get_close_matches(word, allowed, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return CodecError(f"unknown {kind} {word!r}; allowed: {', '.join(allowed)}{hint}")
