"""Checks of a method's settings: what is wrong is named with its value and what is allowed."""

import math
from collections.abc import Sequence
from typing import Any

from flwr_gan.errors import ConfigError


def require(key: str, value: Any, holds: bool, allowed: str) -> None:
    """Raise a ConfigError that names the key, the value and what is allowed."""
    if not holds:
        raise ConfigError(f"method.{key}={value!r} is not allowed: give {allowed}")


def require_share(key: str, value: Any) -> None:
    """Raise unless the value is a number above 0 and below 1."""
    require(key, value, _is_number(value) and 0 < value < 1, "a number above 0 and below 1")


def require_count(key: str, value: Any, *, least: int = 1) -> None:
    """Raise unless the value is a whole number of at least ``least``."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    require(key, value, whole and value >= least, f"a whole number of at least {least}")


def require_amount(key: str, value: Any) -> None:
    """Raise unless the value is a finite number of at least 0."""
    require(key, value, _is_number(value) and value >= 0, "a number of at least 0")


def require_switch(key: str, value: Any) -> None:
    """Raise unless the value is true or false."""
    require(key, value, isinstance(value, bool), "true or false")


def require_word(key: str, value: Any, words: Sequence[str]) -> None:
    """Raise unless the value is one of the words."""
    require(key, value, value in words, " or ".join(words))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
