"""The compared entries: one file per entry, with a method of training, a codec, or both.

::

    # entries/gradual80_int4_trained.yaml
    label: gradual 0.8 + int4 in training
    family: combination
    steps: # one after another; they share the training equally
      - {method: sparse_training, fraction: 0.8, schedule: gradual} # conf/method and what differs
      - {_target_: flwr_gan.methods.straight_through.StraightThrough, stage: quantize:int4}
    codec: quantize:int4+sparse

An entry without ``steps`` trains nothing. ``method`` names a file of ``conf/method``; ``_target_``
names any other class. ``budget: 4`` allows an entry four times as many updates: updates of
distillation are cheap, because the critic is not trained.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from flwr_gan.app.config import build
from flwr_gan.app.overrides import config_dir, first_line
from flwr_gan.errors import ConfigError
from flwr_gan.methods import Method
from flwr_gan.wire.codecs import get_codec

ENTRIES = Path(__file__).parent / "entries"
FAMILIES = (
    "none", "pruning", "distillation", "low rank", "precision", "encoding", "combination",
)  # fmt: skip
REFERENCE = "raw"
"""The entry that all others are compared with: no compression."""

_NEEDED = {"label", "family", "codec"}
_KEYS = _NEEDED | {"steps", "budget"}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One compared entry; it is checked on construction."""

    name: str  # name of its file
    label: str  # label in tables and plots
    family: str  # one of ``FAMILIES``
    codec: str  # spec of the payload's codec
    steps: tuple[Mapping[str, Any], ...] = ()  # settings of each method, with its ``_target_``
    budget: int = 1  # factor of the usual budget of training

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ConfigError(
                f"{self.name}: family={self.family!r} is not allowed: give one of "
                f"{', '.join(FAMILIES)}"
            )
        if not isinstance(self.budget, int) or self.budget < 1:
            raise ConfigError(
                f"{self.name}: budget={self.budget!r} is not allowed: give a whole number from 1"
            )
        get_codec(self.codec)
        self.methods()

    def methods(self) -> list[Method]:
        """Return new instances of the methods."""
        made = []
        for step in self.steps:
            method = build(OmegaConf.create(dict(step)))
            if not isinstance(method, Method):
                raise ConfigError(f"{self.name}: {step['_target_']} is no Method")
            made.append(method)
        return made


def read_entries(folder: Path = ENTRIES, *, only: tuple[str, ...] = ()) -> list[Entry]:
    """Return the entries in a folder by family; with ``only``, these entries and ``raw``."""
    paths = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    for name in only:
        if name not in paths:
            raise ConfigError(f"--only {name}: allowed are {', '.join(paths)}")
    if REFERENCE not in paths:
        raise ConfigError(f"{folder} has no {REFERENCE}.yaml: the others are compared with it")
    wanted = {*only, REFERENCE} if only else set(paths)
    entries = [read_entry(path) for name, path in paths.items() if name in wanted]
    return sorted(
        entries,
        key=lambda entry: (entry.name != REFERENCE, FAMILIES.index(entry.family), entry.name),
    )


def read_entry(path: Path) -> Entry:
    """Return the entry of a file."""
    settings = _load(path)
    keys = set(settings)
    wrong = sorted(keys - _KEYS) or sorted(_NEEDED - keys)
    if wrong:
        kind = "unknown" if keys - _KEYS else "missing"
        raise ConfigError(f"{path.name}: {wrong[0]} is {kind}: give {', '.join(sorted(_KEYS))}")
    steps = settings.get("steps") or []
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise ConfigError(f"{path.name}: steps is no list of settings: give - {{method: NAME}}")
    return Entry(
        name=path.stem, label=str(settings["label"]), family=str(settings["family"]),
        codec=str(settings["codec"]), steps=tuple(_step(path, step) for step in steps),
        budget=settings.get("budget", 1),
    )  # fmt: skip


def _step(path: Path, given: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of one method: those of its file, overridden by the given ones."""
    name = given.get("method")
    if (name is None) == ("_target_" not in given):
        raise ConfigError(f"{path.name}: a step has either method or _target_")
    if name is None:
        return given
    place = config_dir() / "method" / f"{name}.yaml"
    if not place.is_file():
        known = ", ".join(sorted(p.stem for p in place.parent.glob("*.yaml")))
        raise ConfigError(f"{path.name}: method={name!r} is not allowed: give one of {known}")
    return _load(place) | {key: value for key, value in given.items() if key != "method"}


def _load(path: Path) -> dict[str, Any]:
    try:
        node = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except (OSError, ValueError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{path} cannot be read: {first_line(error)}") from error
    if not isinstance(node, dict):
        raise ConfigError(f"{path} cannot be read: it holds no settings")
    return {str(key): value for key, value in node.items()}
