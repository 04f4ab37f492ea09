"""The run config of a Flower app: values of its pyproject.toml, changed by the user."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flwr_gan.core.settings import require_keys
from flwr_gan.errors import ConfigError

OPTION = "--run-config"
Value = bool | int | float | str
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text in quotes"}
_KEY = r"[\w-]+(?:\.[\w-]+)*"
_ITEM = re.compile(
    rf"""({_KEY})=('[^']*'|"(?:[^"\\]|\\.)*"|[^\s'"#]+)(?=\s|$)""",
    re.ASCII,
)
_NEARLY = re.compile(rf"""({_KEY})\s*(?:=|:)\s*('[^']*'|"[^"]*"|[^\s='":]+)(?=\s|$)""", re.ASCII)


def declared_config(table: object) -> dict[str, Value]:
    """Return the run config that ``[tool.flwr.app.config]`` declares, with dots in nested keys."""
    if not isinstance(table, dict):
        raise ConfigError("config is no table: write [tool.flwr.app.config]")
    return dict(_flat(table, ""))


def given_config(items: str, declared: Mapping[str, Value]) -> dict[str, Value]:
    """Return the run config of an app: declared values, changed by the user's items.

    `items` are space-separated ``key=value``, values as in TOML, or the name of a ``.toml`` file.
    If nothing is declared, any key is allowed. Raises ``ConfigError`` when an item is malformed,
    its key is not declared, or its value has another type; an int is accepted for a float.
    """
    changed: dict[str, Value] = {}
    for key, value in _items(items.strip(), declared):
        if key in changed:
            raise ConfigError(f"{OPTION}: {key} is given twice: drop one")
        changed[key] = _checked(key, value, declared)
    return dict(declared) | changed


def _items(items: str, declared: Mapping[str, Value]) -> Iterator[tuple[str, Value]]:
    if items.endswith(".toml") and "=" not in items:
        yield from _from_file(Path(items).expanduser())
        return
    while items:
        match = _ITEM.match(items)
        if match is None:
            raise ConfigError(f"{OPTION}: {_not_an_item(items, declared)}")
        yield match[1], _value(*match.groups())
        items = items[match.end() :].lstrip()


def _value(key: str, text: str) -> Value:
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except ValueError:
        value = None
    if isinstance(value, Value):
        return value
    hint = f"{key}={_toml(text)}" if text[0] not in "'\"" else 'such as "a b"'
    raise ConfigError(
        f"{OPTION}: {key}={text} is not allowed: give a number, true, false, or text in quotes, "
        f"{hint}"
    )


def _not_an_item(text: str, declared: Mapping[str, Value]) -> str:
    """Return the error for a text without an item at its start, with the right form."""
    nearly = _NEARLY.match(text)
    if nearly is not None:
        return f"{nearly[0]!r} is no key=value: write {nearly[1]}={nearly[2]}"
    key, value = next(iter(declared.items()), ("lr", 0.5))
    return f"{text.split()[0]!r} is no key=value: write for example {key}={_toml(value)}"


def _toml(value: Value) -> str:
    return repr(value) if isinstance(value, float) else json.dumps(value)


def _checked(key: str, value: Value, declared: Mapping[str, Value]) -> Value:
    """Return a value in the type that its key declares."""
    if not declared:
        return value
    require_keys(f"{OPTION}: ", [key], sorted(declared))
    kind = type(declared[key])
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ConfigError(
            f"{OPTION}: {key}={_toml(value)} is not allowed: the app declares "
            f"{key}={_toml(declared[key])}, so give {_KINDS[kind]}"
        )
    return value


def _from_file(path: Path) -> Iterator[tuple[str, Value]]:
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{OPTION}: cannot read {path}: {reason}") from error
    try:
        yield from _flat(table, "")
    except ConfigError as error:
        raise ConfigError(f"{OPTION}: {path}: {error}") from error


def _flat(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Value]]:
    for name, value in table.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _flat(value, f"{key}.")
        elif isinstance(value, Value):
            yield key, value
        else:
            raise ConfigError(
                f"key {key} needs to be a bool, int, float, str or a table of those, and is a "
                f"{type(value).__name__}"
            )
