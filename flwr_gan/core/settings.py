"""Settings whose types define the allowed values, and a common form of error messages.

An error gives the key, the value, the allowed values and, for a word, the nearest match.
"""

import difflib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from flwr_gan.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Within:
    """Bounds of a number, as metadata of ``Annotated``."""

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None

    def __str__(self) -> str:
        if self.at_least is not None and self.at_most is not None:
            return f"from {self.at_least:g} to {self.at_most:g}"
        found = [(name, getattr(self, name)) for name in ("at_least", "above", "at_most", "below")]
        words = [
            f"{name.replace('_', ' ')} {bound:g}" for name, bound in found if bound is not None
        ]
        return ("of " if words[0].startswith("at") else "") + " and ".join(words)

    def hold(self, value: float) -> bool:
        """Return whether a number is within the bounds."""
        return not (
            (self.at_least is not None and value < self.at_least)
            or (self.above is not None and value <= self.above)
            or (self.at_most is not None and value > self.at_most)
            or (self.below is not None and value >= self.below)
        )


Count = Annotated[int, Within(at_least=1)]
Natural = Annotated[int, Within(at_least=0)]
Amount = Annotated[float, Within(at_least=0)]
Positive = Annotated[float, Within(above=0)]
Share = Annotated[float, Within(above=0, below=1)]
Rate = Annotated[float, Within(above=0, at_most=1)]


class Settings:
    """A dataclass that checks its fields by type on construction; raises ``ConfigError``.

    Bounds are in the types (``Annotated`` with ``Within``), words are a ``Literal``. Lists become
    tuples and whole numbers floats according to the type, as config files need it.
    """

    group: ClassVar[str] = ""
    """Prefix of the field names in errors: ``gan`` in ``gan.batch_size``."""

    def __post_init__(self) -> None:
        this: Any = self
        hints = get_type_hints(type(this), include_extras=True)
        for field in fields(this):
            if field.init:
                value = checked(self.key(field.name), getattr(self, field.name), hints[field.name])
                object.__setattr__(self, field.name, value)

    @classmethod
    def key(cls, name: str) -> str:
        """Return the name of a field in errors."""
        return f"{cls.group}.{name}" if cls.group else name

    def require(self, name: str, holds: bool, allowed: str) -> None:
        """Raise a ConfigError that names a field unless a condition holds."""
        require(self.key(name), getattr(self, name), holds, allowed)


def checked(key: str, value: Any, kind: Any) -> Any:
    """Return a value converted to a type and checked as by `Settings`.

    Raises ``ConfigError`` if it is not of that type.
    """
    kinds = get_args(kind) if get_origin(kind) is Annotated else (kind,)
    if isinstance(value, list) and get_origin(kinds[0]) is tuple:
        value = tuple(value)
    allowed, holds = _rule(kind)
    if not holds(value):
        words = get_args(kind) if get_origin(kind) is Literal else ()
        raise not_allowed(key, value, allowed, words)
    whole = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if whole and kinds[0] is float else value


def require(key: str, value: Any, holds: bool, allowed: str) -> None:
    """Raise a ConfigError with the key, the value and the allowed values unless ``holds``."""
    if not holds:
        raise not_allowed(key, value, allowed)


def require_one_of(key: str, value: Any, words: Iterable[Any]) -> None:
    """Raise a ConfigError that names the nearest match unless the value is one of the words."""
    words = list(words)
    if value not in words:
        raise not_allowed(key, value, " or ".join(map(str, words)), words)


def not_allowed(key: str, value: Any, allowed: str, words: Iterable[Any] = ()) -> ConfigError:
    """Return the error for a setting that is not allowed."""
    return ConfigError(f"{key}={value!r} is not allowed: give {allowed}{nearest(value, words)}")


def require_keys(place: str, given: Iterable[str], allowed: Iterable[str]) -> None:
    """Raise a ConfigError with the nearest match for the first key that is not allowed."""
    allowed = list(allowed)
    for key in given:
        if key not in allowed:
            raise ConfigError(
                f"{place}unknown key {key}: allowed are {', '.join(allowed)}{nearest(key, allowed)}"
            )


def nearest(word: Any, words: Iterable[Any]) -> str:
    """Return the hint of an error at a similar allowed word, else an empty text."""
    near = difflib.get_close_matches(str(word), [str(w) for w in words], n=1, cutoff=0.5)
    return f" (nearest: {near[0]})" if near else ""


_PLAIN: dict[Any, tuple[str, Callable[[Any], bool]]] = {
    bool: ("true or false", lambda v: isinstance(v, bool)),
    int: ("a whole number", lambda v: isinstance(v, int) and not isinstance(v, bool)),
    float: (
        "a number",
        lambda v: isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v),
    ),
    str: ("a word", lambda v: isinstance(v, str)),
    NoneType: ("null", lambda v: v is None),
}


def _rule(kind: Any) -> tuple[str, Callable[[Any], bool]]:
    """Return a type's allowed values in words, and a check for them."""
    arguments = get_args(kind)
    match get_origin(kind):
        case origin if origin is Annotated:
            text, holds = _rule(arguments[0])
            bounds = arguments[1]
            return f"{text} {bounds}", lambda v: holds(v) and bounds.hold(v)
        case origin if origin is Literal:
            words = ["true" if w is True else "false" if w is False else str(w) for w in arguments]
            known = [(type(w), w) for w in arguments]
            return " or ".join(words), lambda v: (type(v), v) in known
        case origin if origin in (Union, UnionType):
            rules = [_rule(part) for part in arguments]
            return ", or ".join(text for text, _ in rules), lambda v: any(h(v) for _, h in rules)
        case origin if origin is tuple:
            text, holds = _rule(arguments[0])
            size = None if arguments[-1] is ... else len(arguments)
            return (
                f"a list of {'any length' if size is None else size}, each {text}",
                lambda v: isinstance(v, tuple) and size in (None, len(v)) and all(map(holds, v)),
            )
    return _PLAIN.get(kind, (str(kind), lambda v: True))
