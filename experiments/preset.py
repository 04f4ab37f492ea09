"""Named sweeps: ``preset=NAME`` stands for the overrides in ``experiments/presets/NAME.yaml``."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from flwr_gan.core.settings import nearest
from flwr_gan.errors import ConfigError

_FOLDER = Path(__file__).resolve().parent / "presets"
_PREFIX = "preset="


def preset_names() -> list[str]:
    """Return the names of all presets."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def preset_about(name: str) -> str:
    """Return the line on top of a preset's file that says what it is."""
    return _path(name).read_text().split("\n", maxsplit=1)[0].lstrip("# ")


def expand_preset(arguments: Sequence[str]) -> tuple[str | None, list[str], list[str]]:
    """Put the overrides that a preset stands for in its place.

    Returns the preset's name (None where there is none), its overrides but for keys that the
    arguments set themselves, and the other arguments.
    """
    named = [text.removeprefix(_PREFIX) for text in arguments if text.startswith(_PREFIX)]
    own = [text for text in arguments if not text.startswith(_PREFIX)]
    if not named:
        return None, [], own
    if len(named) > 1:
        raise ConfigError(f"preset={','.join(named)}: a sweep takes one preset")
    given = {_key(text) for text in own}
    overrides = [str(text) for text in yaml.safe_load(_path(named[0]).read_text())]
    return named[0], [text for text in overrides if _key(text) not in given], own


def _path(name: str) -> Path:
    names = preset_names()
    if name not in names:
        raise ConfigError(f"preset={name}: allowed are {', '.join(names)}{nearest(name, names)}")
    return _FOLDER / f"{name}.yaml"


def _key(text: str) -> str:
    return text.partition("=")[0].lstrip("+~")
