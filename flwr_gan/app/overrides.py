"""Hydra overrides: read, check against conf/, compose; each error is one clear line."""

import difflib
import re
import sys
import traceback
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from functools import lru_cache
from pathlib import Path

import hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from flwr_gan.core.settings import require_one_of
from flwr_gan.errors import ConfigError

_IMPORTS = re.compile(r"[\\/]hydra[\\/]|importlib")
"""Files whose stack frames lie between a command and the module that it imports."""


def config_dir() -> Path:
    """Return the folder of the conf files: in the wheel, the checkout or the Flower app bundle."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def split_overrides(text: str) -> list[str]:
    """Split a run-config string into overrides at spaces outside quotes and brackets."""
    items, depth, quote, current = [], 0, "", ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        if char.isspace() and not quote and depth <= 0:
            items.append(current)
            current = ""
        else:
            current += char
    return [item for item in [*items, current] if item]


def given(key: str, overrides: Sequence[str]) -> str | None:
    """Return a key's value in the overrides, as text without quotes; None if absent or null."""
    text = None
    for item in map(parse, overrides):
        if item.key_or_group == key:
            value = item.value()
            written = (item.input_line or "").partition("=")[2]
            text = value if value is None or isinstance(value, str) else written
    return text


def compose(overrides: Sequence[str], *, required: Collection[str]) -> DictConfig:
    """Compose conf/ with overrides, after checking each of their keys and choices.

    Top-level keys in `required` must not be deleted. A ``ConfigError`` names the key, the allowed
    values and the nearest match.
    """
    parsed = [parse(text) for text in overrides]
    try:
        groups = _groups()
        chosen = [item for item in parsed if item.key_or_group in groups]
        for item in chosen:
            require_one_of(item.key_or_group, str(item.value()), groups[item.key_or_group])
        base = _with_options(tuple(str(item.input_line) for item in chosen), _conf_files())
        known = _leaves(base)
        # A null group, such as method, has no target until one is added.
        targets = [item.key_or_group for item in parsed if item.key_or_group.endswith("._target_")]
        for item in parsed:
            if item.is_delete() and item.key_or_group in required:
                raise ConfigError(f"{item.input_line}: a run needs this key; give it a value")
            if item.is_add() and item.key_or_group in known:
                raise ConfigError(f"{item.input_line}: the key is there already; drop the +")
            adds = item.is_add() or item.is_force_add()
            free = adds and _has_target(item.key_or_group, [*known, *targets])
            if item.key_or_group not in groups and not free:
                _check_key(item.key_or_group, known, groups)
        node = deepcopy(base)
        for item in parsed:
            if item.key_or_group not in groups:
                _apply(item, node)
        OmegaConf.resolve(node)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(first_line(error)) from error
    return node


def parse(text: str) -> Override:
    """Return one override; ``ConfigError`` when it cannot be read, or sweeps over values."""
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException as error:
        raise ConfigError(
            f"cannot read {text!r}: expected key=value; values with spaces or any of ~ = , ( ) "
            "need quotes, such as output_dir='~/x'"
        ) from error
    if override.is_sweep_override():
        raise ConfigError(
            f"{text}: one run takes one value, in quotes where it has a comma; sweeps go to "
            "experiments.sweep"
        )
    return override


def _groups() -> dict[str, list[str]]:
    """Return the options of each config group."""
    return {
        folder.name: sorted(path.stem for path in folder.glob("*.yaml"))
        for folder in config_dir().iterdir()
        if folder.is_dir()
    }


def _conf_files() -> tuple[tuple[str, int], ...]:
    """Return the conf files with the time of their last change, so that an edited one is read."""
    return tuple((str(path), path.stat().st_mtime_ns) for path in config_dir().rglob("*.yaml"))


@lru_cache(maxsize=64)
def _with_options(chosen: tuple[str, ...], files: tuple[tuple[str, int], ...]) -> DictConfig:
    """Return conf/ with these options of its groups; composing takes a tenth of a second."""
    with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
        return hydra.compose("config", overrides=list(chosen))


def _apply(item: Override, node: DictConfig) -> None:
    """Set, add or delete one key of a composed config, as ``hydra.compose`` would."""
    key, value = item.key_or_group, item.value()
    if item.is_delete():
        parent, _, name = key.rpartition(".")
        found = OmegaConf.select(node, key)
        if value is not None and value != found:
            raise ConfigError(f"{item.input_line}: the value is {found}")
        with open_dict(node):
            del (OmegaConf.select(node, parent) if parent else node)[name]
    else:
        OmegaConf.update(
            node, key, value, merge=True, force_add=item.is_add() or item.is_force_add()
        )


def _leaves(node: DictConfig, prefix: str = "") -> list[str]:
    """Return all dotted keys of a config."""
    keys = []
    for key in map(str, node):
        keys.append(f"{prefix}{key}")
        value = node._get_node(key)
        if isinstance(value, DictConfig) and not value._is_none():
            keys.extend(_leaves(value, f"{prefix}{key}."))
    return keys


def _check_key(key: str, known: list[str], groups: Mapping[str, list[str]]) -> None:
    if key in known:
        return
    parent, _, _ = key.rpartition(".")
    siblings = [name for name in known if name.rpartition(".")[0] == parent]
    allowed = siblings or sorted({*groups, *(name for name in known if "." not in name)})
    more = f"; +{key}=... passes on what its _target_ takes" if _has_target(key, known) else ""
    raise ConfigError(
        f"unknown key {key}: allowed are {', '.join(allowed)}{_nearest(key, known)}{more}"
    )


def _has_target(key: str, known: list[str]) -> bool:
    """Return whether a key belongs to a node whose ``_target_`` defines the keys."""
    return f"{key.partition('.')[0]}._target_" in known


def _nearest(word: str, known: Sequence[str]) -> str:
    tails = {name.rpartition(".")[2]: name for name in reversed(known)}
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    near = near or [tails[t] for t in difflib.get_close_matches(word, tails, n=1, cutoff=0.6)]
    return f" (nearest: {near[0]})" if near else ""


def why_not_loaded(target: str, error: Exception) -> str:
    """Return why a ``_target_`` cannot be imported, in one line with file and line number.

    Hydra hides the first error of a module behind two of its own.
    """
    top = target.partition(".")[0]
    own = Path(__file__).parents[2] / top
    found = getattr(sys.modules.get(top), "__file__", None)
    if top in ("flwr_gan", "strategies") and found and not Path(found).is_relative_to(own):
        return f"{found} is imported in place of {own}: rename it, or start in another folder"
    first: BaseException = error
    while first.__cause__ is not None:
        first = first.__cause__
    frames = traceback.extract_tb(first.__traceback__)
    files = [f"{f.filename}, line {f.lineno}" for f in frames if not _IMPORTS.search(f.filename)]
    if isinstance(first, SyntaxError):
        files = [f"{first.filename}, line {first.lineno}"]
    where = f" ({files[-1]})" if files else ""
    return f"cannot be imported: {type(first).__name__}: {first_line(first)}{where}"


def first_line(error: BaseException) -> str:
    """Return the first line of an error message, with single spaces."""
    return " ".join(str(error).split("\n")[0].split())
