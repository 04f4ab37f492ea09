"""The jobs of a sweep from its arguments, and the output folder of each job."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import hydra
import yaml
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from experiments.sweep_jobs import Job, share_trainings
from flwr_gan.app.overrides import config_dir
from flwr_gan.core.settings import nearest
from flwr_gan.errors import ConfigError

SWEEPS = Path("runs/sweeps")
# A folder's name is a value of output_dir and resume, where it is not quoted.
_LONGEST_NAME = 120
_FORBIDDEN = re.compile(r"[^\w.+\-]")
_FORBIDDEN_IN_PATHS = re.compile(r"[^\w./+\-:~@]")
_OF_THE_SWEEP = ("output_dir", "resume", "also_codecs")
_PRESETS = Path(__file__).resolve().parent / "presets"
_PREFIX = "preset="


@dataclass(frozen=True)
class Plan:
    """All jobs of a sweep, in the order in which they are run."""

    folder: Path
    jobs: list[Job]
    verbose: bool = False


def make_plan(arguments: Sequence[str], *, multirun: bool) -> Plan:
    """Return the jobs of a sweep's overrides; several values need ``multirun`` or a preset."""
    arguments, several = expand_seeds(arguments)
    preset, given, own_arguments = expand_preset(arguments)
    multirun = multirun or several or preset is not None
    parsed = _parse([*given, *own_arguments])
    own = [item for _, item in parsed if not _is_about_the_sweep(item)]
    swept = [item for item in own if item.is_sweep_override()]
    for item in own:
        if item.key_or_group in _OF_THE_SWEEP:
            raise ConfigError(f"{item.key_or_group} is set by the sweep: drop it; see sweep_dir")
    for _, item in parsed:
        if _is_about_the_sweep(item) and item.key_or_group not in ("sweep_dir", "hydra.verbose"):
            raise ConfigError(f"{item.input_line}: of hydra's settings a sweep takes hydra.verbose")
    if swept and not multirun:
        raise ConfigError(f"{swept[0].input_line} names several values: put -m before it")
    folder = _folder(parsed, own, swept or own, preset=preset, given=given)
    try:
        (batch,) = BasicSweeper.split_arguments(own, None)
    except HydraException as error:
        raise ConfigError(" ".join(str(error).split())) from error
    shown = {item.get_key_element() for item in swept or own}
    jobs = [_job(tuple(overrides), shown, folder) for overrides in batch]
    share_trainings(jobs)
    if len({job.folder for job in jobs}) < len(jobs):
        raise ConfigError("two jobs of this sweep have the same settings: name each value once")
    verbose = any(item.key_or_group == "hydra.verbose" and item.value() for _, item in parsed)
    return Plan(folder, jobs, verbose)


def expand_seeds(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """Replace ``seeds=N`` by ``seed=0,...,N-1``; return whether it was there."""
    found = []
    for text in arguments:
        key, _, value = text.partition("=")
        if key == "seeds" and not (value.isdecimal() and int(value)):
            raise ConfigError(f"{text} is not allowed: give a whole number from 1, or seed=3,7")
        own = ",".join(map(str, range(int(value)))) if key == "seeds" else ""
        found.append(f"seed={own}" if own else text)
    return found, found != list(arguments)


def _parse(arguments: Sequence[str]) -> list[tuple[str, Override]]:
    parsed = []
    with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
        # The loader is needed to expand a glob such as partition=glob(*).
        parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
        for text in arguments:
            if not __debug__ and "range(" in text:
                raise ConfigError(
                    f"{text}: Hydra cannot read a range under python -O; leave out -O"
                )
            try:
                parsed.append((text, parser.parse_overrides([text])[0]))
            except HydraException as error:
                raise ConfigError(
                    f"cannot read {text!r}: expected key=value or key=value,value; values with "
                    "spaces in quotes"
                ) from error
    return parsed


def _is_about_the_sweep(item: Override) -> bool:
    key = item.key_or_group
    return key == "sweep_dir" or key.split(".")[0].split("/")[0] == "hydra"


def _folder(
    parsed: list[tuple[str, Override]],
    own: list[Override],
    shown: list[Override],
    *,
    preset: str | None,
    given: list[str],
) -> Path:
    """Return the sweep's folder: as given, or named by its keys, so that values can be added."""
    for _, item in reversed(parsed):
        if item.key_or_group == "sweep_dir":
            path = str(item.value())
            if item.is_sweep_override() or _FORBIDDEN_IN_PATHS.search(path):
                raise ConfigError(
                    f"sweep_dir={path}: allowed are letters, digits and . / _ + - : ~ @"
                )
            return Path(path)
    swept = _readable("+".join(sorted({_plain(item.key_or_group) for item in shown})))
    name = preset or swept or "defaults"
    fixed = [str(item.input_line) for item in own if item not in shown]
    fixed = [text for text in fixed if text not in given]
    return SWEEPS / (f"{name}-{_digest(fixed)}" if fixed else name)


def _job(overrides: tuple[str, ...], shown: set[str], folder: Path) -> Job:
    parser = OverridesParser.create()
    items = [parser.parse_override(text) for text in overrides]
    values = {_plain(item.key_or_group): item.value() for item in items}
    swept = {
        _plain(item.key_or_group): item.value() for item in items if item.get_key_element() in shown
    }
    label = " ".join(f"{key}={value}" for key, value in swept.items())
    name = _readable("+".join(f"{key}-{swept[key]}" for key in sorted(swept)))
    digest = _digest(overrides)
    # The hash covers all settings, even if the earlier sweep's name shows only some of them.
    earlier = sorted(folder.glob(f"*-{digest}"))
    return Job(
        overrides, values, label, earlier[0] if earlier else folder / f"{name or 'run'}-{digest}"
    )


def _readable(text: str) -> str:
    return _FORBIDDEN.sub("_", text.replace(":", "."))[:_LONGEST_NAME]


def _digest(texts: Sequence[str]) -> str:
    return sha256("\n".join(sorted(texts)).encode()).hexdigest()[:8]


def _plain(text: str) -> str:
    """Return the key of an override, or a key itself, without a mark before it."""
    return text.partition("=")[0].lstrip("+~")


def preset_names() -> list[str]:
    """Return the names of all presets."""
    return sorted(path.stem for path in _PRESETS.glob("*.yaml"))


def preset_about(name: str) -> str:
    """Return the first line of a preset's file, which describes it."""
    return _preset_file(name).read_text().split("\n", maxsplit=1)[0].lstrip("# ")


def expand_preset(arguments: Sequence[str]) -> tuple[str | None, list[str], list[str]]:
    """Expand the preset among the arguments into its overrides.

    Returns the preset's name (None if there is none), its overrides without the keys that the
    arguments set themselves, and the other arguments.
    """
    named = [text.removeprefix(_PREFIX) for text in arguments if text.startswith(_PREFIX)]
    own = [text for text in arguments if not text.startswith(_PREFIX)]
    if not named:
        return None, [], own
    if len(named) > 1:
        raise ConfigError(f"preset={','.join(named)}: a sweep takes one preset")
    given = {_plain(text) for text in own}
    overrides = [str(text) for text in yaml.safe_load(_preset_file(named[0]).read_text())]
    return named[0], [text for text in overrides if _plain(text) not in given], own


def _preset_file(name: str) -> Path:
    names = preset_names()
    if name not in names:
        raise ConfigError(f"preset={name}: allowed are {', '.join(names)}{nearest(name, names)}")
    return _PRESETS / f"{name}.yaml"
