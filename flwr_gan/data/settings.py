"""Checks of single settings; each error names the key, the value and what is allowed."""

import math
from typing import Any

from flwr_gan.errors import ConfigError


def check_int(key: str, value: Any, *, at_least: int, at_most: int | None = None) -> None:
    """Raise :class:`~flwr_gan.errors.ConfigError` unless `value` is an integer in the range."""
    is_int = isinstance(value, int) and not isinstance(value, bool)
    if not is_int or value < at_least or (at_most is not None and value > at_most):
        allowed = f"at least {at_least}" if at_most is None else f"from {at_least} to {at_most}"
        raise ConfigError(f"{key}={value} must be an integer, {allowed}")


def check_positive(key: str, value: Any) -> None:
    """Raise :class:`~flwr_gan.errors.ConfigError` unless `value` is a finite number above 0."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value < math.inf:
        raise ConfigError(f"{key}={value} must be a finite number above 0")


def check_fraction(key: str, value: Any, *, margin: float = 0.0) -> None:
    """Raise :class:`~flwr_gan.errors.ConfigError` unless ``margin < value < 1 - margin``."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not margin < value < 1 - margin:
        raise ConfigError(
            f"{key}={value} must be a number above {margin:g} and below {1 - margin:g}"
        )
