"""The command that repeats a run, derived from the run's settings."""

import shlex
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from experiments.study.cases import flat_settings
from flwr_gan.app.overrides import compose, config_dir
from flwr_gan.errors import FlwrGanError

_PLACES = ("output_dir", "resume", "logger")
_TARGETED = ("strategy", "data", "partition")
_GROUPS = ("gan", "lottery")


def repeat_command(config: str) -> str | None:
    """Return the command that has the settings of a ``config.yaml``, None if there is none."""
    asked = {key: value for key, value in yaml.safe_load(config).items() if key not in _PLACES}
    try:
        overrides = _choices(asked)
        # First the settings that others refer to, such as lottery.rate, which strategies use.
        for groups in (set(asked) - set(_TARGETED), set(asked)):
            overrides += _differences(_settings(overrides), asked, groups)
        if not flat_settings(asked).items() <= flat_settings(_settings(overrides)).items():
            return None
    except (FlwrGanError, AttributeError, KeyError, TypeError):
        return None
    arguments = ["--run-config", " ".join(overrides)] if overrides else []
    return shlex.join(["flower-simulation", "--app", "flwr_gan", *arguments])


def _settings(overrides: list[str]) -> dict[str, Any]:
    node = OmegaConf.to_container(compose(overrides, required=()), resolve=True)
    return {str(key): value for key, value in node.items() if key not in _PLACES}  # type: ignore[union-attr]


def _choices(asked: dict[str, Any]) -> list[str]:
    """Return the closest option of each group if it is not the default."""
    default = _settings([])
    chosen = []
    for group in _TARGETED:
        if asked[group]["_target_"] == default[group]["_target_"]:
            continue
        for path in sorted((config_dir() / group).glob("*.yaml")):
            if yaml.safe_load(path.read_text()).get("_target_") == asked[group]["_target_"]:
                chosen.append(f"{group}={path.stem}")
                break
    for group in _GROUPS:
        given = _settings(chosen)[group]
        least, option = len(_differences({group: given}, asked, {group})), None
        for path in sorted((config_dir() / group).glob("*.yaml")):
            one = {group: given | yaml.safe_load(path.read_text())}
            number = len(_differences(one, asked, {group}))
            if number < least - 1:  # naming the option counts as one override
                least, option = number, path.stem
        if option is not None:
            chosen.append(f"{group}={option}")
    return chosen


def _differences(now: dict[str, Any], asked: dict[str, Any], groups: set[str]) -> list[str]:
    """Return the overrides that change the settings ``now`` into ``asked``, in these groups."""
    before, after = flat_settings(now), flat_settings(asked)
    found = []
    for key, value in after.items():
        if key.split(".")[0] not in groups or (key in before and before[key] == value):
            continue
        found.append(f"{'' if key in before else '+'}{key}={_written(value)}")
    return found


def _written(value: Any) -> str:
    """Return a value in Hydra's syntax."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(_written(item) for item in value)}]"
    if isinstance(value, int | float):
        return str(value)
    text = str(value)
    plain = text.replace(":", "").replace("_", "").replace("-", "").replace(".", "")
    is_word = plain.isalnum() and text.isascii() and text[0].isalpha()
    if is_word and text.lower() not in ("null", "true", "false", "nan", "inf"):
        return text
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def repeat_lines(configs: dict[Path, str]) -> tuple[list[str], list[Path]]:
    """Return the commands that repeat several runs, and the folders of runs without one."""
    commands = {folder: repeat_command(config) for folder, config in configs.items()}
    unknown = [folder for folder, command in commands.items() if command is None]
    return list(dict.fromkeys(filter(None, commands.values()))), unknown
