"""Settings of stages, as words of their specs and as numbers of a payload."""

import re
from collections.abc import Iterable

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire.codecs.registry import unknown_word

STEPS = 10_000
"""Fractions are 1 to 9,999 ten-thousandths, so that they travel exactly."""


def unreadable(stage: str, arguments: tuple[str, ...], allowed: str) -> CodecError:
    """Return the error for a spec with too many words, or too few."""
    return CodecError(f"stage {':'.join((stage, *arguments))!r} cannot be read; {allowed}")


def one_of(kind: str, word: str, allowed: Iterable[str]) -> str:
    """Return the word, or raise ``CodecError`` if it is not among those allowed."""
    allowed = tuple(allowed)
    if word not in allowed:
        raise unknown_word(kind, word, allowed)
    return word


def whole_number(text: str, *, lowest: int, highest: int) -> int | None:
    """Return a number in its shortest form; None if it is none, or out of range."""
    if not re.fullmatch("0|[1-9][0-9]{0,8}", text):
        return None
    return int(text) if lowest <= int(text) <= highest else None


def read_fraction(text: str) -> int | None:
    """Return a fraction such as ``0.8`` in ten-thousandths; None if it is none, or not inside."""
    if not re.fullmatch(r"0?\.[0-9]{1,4}", text):
        return None
    return int(text.split(".")[1].ljust(4, "0")) or None


def fraction_text(steps: int) -> str:
    """Return the fraction in as few digits as it needs."""
    return f"0.{steps:04}".rstrip("0")


def unknown_settings(stage: str) -> PayloadError:
    """Return the error for a number in a payload that stands for no settings."""
    return PayloadError(f"payload has settings of {stage} that this version does not know")
