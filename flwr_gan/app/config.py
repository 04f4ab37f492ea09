"""Compose conf/ and overrides to one validated config object."""

from collections.abc import Sequence
from dataclasses import MISSING, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import hydra
import yaml
from hydra.errors import InstantiationException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from flwr_gan.app.classifier.config import ClassifierConfig
from flwr_gan.app.overrides import compose, first_line, given, parse, why_not_loaded
from flwr_gan.app.run_config import FederationConfig, MetricsConfig, RunConfig
from flwr_gan.core.settings import Settings, require, require_keys
from flwr_gan.engine.clock import ClockConfig
from flwr_gan.errors import ConfigError
from flwr_gan.gan import GanConfig
from flwr_gan.privacy import PrivacyConfig
from flwr_gan.prune import LotteryConfig
from flwr_gan.prune.regeneration import RegenerationConfig

T = TypeVar("T", bound=Settings)


def load_config(overrides: Sequence[str] = (), *, default_output: str | None = None) -> RunConfig:
    """Compose conf/ with Hydra overrides, such as ``codec=lzma``, and check every value.

    ``resume=DIR`` takes everything from ``DIR/config.yaml`` and allows no other override.
    `default_output` is the output folder if none is set. A ``ConfigError`` names the key, the
    allowed values and the nearest match.
    """
    resumed = given("resume", overrides)
    if resumed is not None:
        return _validate(_load_resumed(_folder("resume", resumed), overrides))
    node = compose(overrides, required=RunConfig.__dataclass_fields__)
    chosen = _path(node, "output_dir")
    node.output_dir = default_output if chosen is None else str(_folder("output_dir", chosen))
    return _validate(node)


def load_file(path: Path) -> RunConfig:
    """Return the config that a run has written.

    Raises ``ConfigError`` if another version has written it.
    """
    return _validate(_read(path))


@lru_cache(maxsize=2)
def read_config(resolved: str) -> RunConfig:
    """Return the config for a text of ``to_yaml``; the last ones are cached."""
    return _validate(cast(DictConfig, OmegaConf.create(resolved)))


def build(node: DictConfig, **runtime: Any) -> Any:
    """Instantiate the ``_target_`` of a config node with its own and `runtime` arguments.

    Raises ``ConfigError`` when the target does not exist or refuses a setting, or when a setting
    may not be chosen.
    """
    taken = sorted(set(runtime).intersection(map(str, node)))
    if taken:
        raise ConfigError(f"{node.get('_target_')}: {taken[0]} follows from other keys: drop it")
    try:
        # Run-time objects are added afterwards: Hydra would turn dataclasses into dicts.
        factory = hydra.utils.instantiate(node, _convert_="all", _partial_=True)
    except InstantiationException as error:
        reason = first_line(error)
        if reason.startswith("Error locating target"):
            reason = why_not_loaded(str(node.get("_target_")), error)
        raise ConfigError(f"{node.get('_target_')}: {reason}") from error
    try:
        return factory(**runtime)
    except TypeError as error:
        raise ConfigError(f"{node.get('_target_')}: {first_line(error)}") from error


def _load_resumed(folder: Path, overrides: Sequence[str]) -> DictConfig:
    path = folder / "config.yaml"
    places = ("resume", "output_dir")
    others = [item for item in overrides if parse(item).key_or_group not in places]
    if others:
        raise ConfigError(f"resume takes all settings from {path}: drop {' '.join(others)}")
    if not path.is_file():
        raise ConfigError(f"resume={folder}: there is no {path}; name the folder of an earlier run")
    node = _read(path)
    node.resume, node.output_dir = str(folder), str(folder)
    return node


def _read(path: Path) -> DictConfig:
    """Return the config of an earlier run with all keys of this version."""
    try:
        node = OmegaConf.load(path)
    except (OSError, ValueError, yaml.YAMLError, OmegaConfBaseException) as error:
        reason = error.problem if isinstance(error, yaml.MarkedYAMLError) else first_line(error)
        raise ConfigError(f"cannot read {path}: {reason}; start a new run") from error
    if not isinstance(node, DictConfig):
        raise ConfigError(f"cannot read {path}: it holds no settings; start a new run")
    # Settings that earlier versions did not have must have a default.
    needed = [
        item.name
        for item in fields(RunConfig)
        if item.default is MISSING and item.default_factory is MISSING
    ]
    absent = [key for key in needed if key != "resolved" and key not in node]
    if absent:
        raise ConfigError(
            f"{path} lacks {', '.join(absent)}: another version has written it; start a new run"
        )
    return node


def _typed(schema: type[T], node: DictConfig) -> T:
    """Return the checked settings of one group."""
    plain = cast(dict[Any, Any], OmegaConf.to_container(node, resolve=True))
    values = {str(key): value for key, value in plain.items()}
    known = [schema.key(item.name) for item in fields(cast(Any, schema))]
    require_keys("", map(schema.key, values), known)
    needed = [item.name for item in fields(cast(Any, schema)) if item.default is MISSING]
    if absent := [name for name in needed if name not in values]:
        raise ConfigError(
            f"{schema.group} lacks {', '.join(absent)}: drop {schema.key(next(iter(values), ''))}, "
            f"or choose an option of {schema.group} that has them"
        )
    return schema(**values)


def _path(node: DictConfig, key: str) -> str | None:
    value = node.get(key)
    require(key, value, not isinstance(value, bool | DictConfig | ListConfig), "a folder, or null")
    return None if value is None else str(value)


def _folder(key: str, text: str) -> Path:
    if not text.strip():
        raise ConfigError(f"{key} is empty: give a folder, or null")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{key}={text}: {error}") from error


_GROUPS: dict[str, type[Settings] | None] = {
    "gan": GanConfig,
    "lottery": LotteryConfig,
    "federation": FederationConfig,
    "clock": ClockConfig,
    "metrics": MetricsConfig,
    "privacy": PrivacyConfig,
    "regeneration": RegenerationConfig,
    "classifier": ClassifierConfig,
    "data": None,
    "partition": None,
    "strategy": None,
    "method": None,
    "drift": None,
}
"""The class that checks each group's keys; None: the class that its ``_target_`` names."""

_MAY_BE_NULL = ("clock", "metrics", "privacy", "regeneration", "classifier", "method", "drift")


def _validate(node: DictConfig) -> RunConfig:
    values: dict[str, Any] = {"resolved": node}
    try:
        for group, schema in _GROUPS.items():
            given_node = node.get(group)
            if given_node is None and group in _MAY_BE_NULL:
                continue
            if not isinstance(given_node, DictConfig):
                require(group, given_node, False, f"keys such as {group}.KEY")
            if schema is None:
                target = given_node.get("_target_")
                key = f"{group}._target_"
                require(key, target, isinstance(target, str), "the full name of a callable")
            values[group] = given_node if schema is None else _typed(schema, given_node)
        for item in fields(RunConfig):
            if item.name not in (*_GROUPS, "resolved") and item.name in node:
                value = node.get(item.name)
                values[item.name] = list(value) if isinstance(value, ListConfig) else value
        values |= {key: _path(node, key) for key in ("output_dir", "resume")}
        return RunConfig(**values)
    except (OmegaConfBaseException, AttributeError) as error:
        raise ConfigError(first_line(error)) from error
