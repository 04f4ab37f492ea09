"""Codecs and stages of other installed packages, found by entry points of ``importlib.metadata``.

An entry point of the group ``flwr_gan.codecs`` or ``flwr_gan.stages`` has the name of the codec or
stage and refers to its class. They are searched only for a name or number that is not built in.
"""

import sys
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from flwr_gan.errors import CodecError, PayloadError

CODECS, STAGES = "flwr_gan.codecs", "flwr_gan.stages"

NUMBERS = {CODECS: range(24, 31), STAGES: range(128, 255)}
"""Wire numbers that the format reserves for other packages."""


def names(group: str) -> tuple[str, ...]:
    """Return the names of a group that other packages add."""
    return tuple(dict.fromkeys(entry.name for entry in _entries(group)))


def named(group: str, name: str) -> Any:
    """Return the class with one of the ``names``.

    Raises ``CodecError`` if two packages add it, it cannot be imported, or its number on the wire
    is not allowed.
    """
    entry, *others = [entry for entry in _entries(group) if entry.name == name]
    if others:
        raise CodecError(f"{_of(entry)} and {_of(others[0])} have one name; uninstall one of them")
    found = _loaded(entry)
    number, allowed = getattr(found, "wire_id", None), NUMBERS[group]
    if number not in allowed:
        raise CodecError(
            f"{_of(entry)} has the number {number} on the wire; allowed: {allowed[0]} to "
            f"{allowed[-1]}"
        )
    if found.name != name:
        raise CodecError(f"{_of(entry)} calls itself {found.name!r}; both names must be one")
    clashes = [other for other in _with_number(group, number) if other != entry]
    if clashes:
        raise CodecError(
            f"{_of(entry)} and {_of(clashes[0])} both have the number {number} on the wire; "
            "uninstall one of them"
        )
    return found


def numbered(group: str, number: int) -> Any:
    """Return the class with this wire number, or raise ``PayloadError``."""
    kind = _kind(group)
    if number not in NUMBERS[group]:
        raise PayloadError(
            f"payload names {kind} number {number}, which this version does not know"
        )
    entries = _with_number(group, number)
    if not entries:
        raise PayloadError(
            f"payload names {kind} number {number}, which no installed package has; install the "
            "package that its sender uses"
        )
    try:
        return named(group, entries[0].name)
    except CodecError as error:
        raise PayloadError(f"payload is coded with {entries[0].name}: {error}") from error


def _with_number(group: str, number: int | None) -> list[EntryPoint]:
    """Return what has a wire number, without packages that cannot be imported."""
    found = []
    for entry in _entries(group):
        with suppress(CodecError):
            if getattr(_loaded(entry), "wire_id", None) == number:
                found.append(entry)
    return found


def _loaded(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise CodecError(f"{_of(entry)} cannot be imported: {reason}") from error


def _of(entry: EntryPoint) -> str:
    package = entry.dist.name if entry.dist else "unknown"
    return f"{_kind(entry.group)} {entry.name!r} of the package {package}"


def _kind(group: str) -> str:
    return "codec" if group == CODECS else "stage"


def _entries(group: str) -> tuple[EntryPoint, ...]:
    return _found(group, tuple(sys.path))


@lru_cache(maxsize=8)
def _found(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Return the entry points of a group; search again only when ``sys.path`` changes."""
    return tuple(sorted(entry_points(group=group), key=_of))
