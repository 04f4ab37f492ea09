"""From the arguments of a sweep to its jobs, and the folder that each of them writes to."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from experiments.preset import expand_preset
from flwr_gan.app.overrides import config_dir
from flwr_gan.codecs import get_codec
from flwr_gan.errors import CodecError, ConfigError

SWEEPS = Path("runs/sweeps")
# A folder's name is a value of output_dir and resume, which take it without quotes.
_LONGEST_NAME = 120
_FORBIDDEN = re.compile(r"[^\w.+\-]")
_FORBIDDEN_IN_PATHS = re.compile(r"[^\w./+\-:~@]")
_OF_THE_SWEEP = ("output_dir", "resume", "also_codecs")


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Parameters
    ----------
    overrides : tuple of str
        Hydra overrides, as Hydra hands them to the job.
    values : dict
        What they set, key by key.
    label : str
        Those that tell it from the other jobs.
    folder : Path
        Where the run writes.
    """

    overrides: tuple[str, ...]
    values: dict[str, Any]
    label: str
    folder: Path

    @property
    def training(self) -> tuple[str, ...]:
        """All overrides but the codec: jobs that share them and code losslessly train the same."""
        return tuple(text for text in self.overrides if _plain(text.partition("=")[0]) != "codec")

    @property
    def codec(self) -> str | None:
        """The codec that the overrides name, None where they name none or none that is known."""
        codec = self.values.get("codec")
        try:
            get_codec(codec)  # type: ignore[arg-type]
        except CodecError:
            return None
        return str(codec)

    @property
    def shares_training(self) -> bool:
        """Whether the codec is one that other codecs can be measured beside."""
        return self.codec is not None and get_codec(self.codec).lossless


@dataclass(frozen=True)
class Plan:
    """All jobs of a sweep, in the order in which Hydra starts them."""

    folder: Path
    jobs: list[Job]
    arguments: list[str] = field(default_factory=list)  # for Hydra
    verbose: bool = False
    multirun: bool = True


def make_plan(arguments: Sequence[str], *, multirun: bool) -> Plan:
    """Return the jobs that a sweep's arguments stand for.

    Parameters
    ----------
    arguments : sequence of str
        Hydra overrides; a key may have several values, ``codec=zlib,lzma``. ``preset=NAME``
        stands for those in ``experiments/presets/NAME.yaml``.
    multirun : bool
        Whether several values are welcome; with a preset they always are.

    Raises
    ------
    ConfigError
        When an argument cannot be read, sets what the sweep itself sets, or names several values
        of a single run.
    """
    preset, given, own_arguments = expand_preset(arguments)
    multirun = multirun or preset is not None
    parsed = _parse([*given, *own_arguments])
    own = [item for _, item in parsed if not _is_about_the_sweep(item)]
    swept = [item for item in own if item.is_sweep_override()]
    for item in own:
        if item.key_or_group in _OF_THE_SWEEP:
            raise ConfigError(f"{item.key_or_group} is set by the sweep: drop it; see sweep_dir")
    if swept and not multirun:
        raise ConfigError(f"{swept[0].input_line} names several values: put -m before it")
    folder = _folder(parsed, own, swept or own, preset=preset, given=given)
    try:
        (batch,) = BasicSweeper.split_arguments(own, None)
    except HydraException as error:
        raise ConfigError(" ".join(str(error).split())) from error
    told = {item.get_key_element() for item in swept or own}
    jobs = [_job(tuple(overrides), told, folder) for overrides in batch]
    if len({job.folder for job in jobs}) < len(jobs):
        raise ConfigError("two jobs of this sweep have the same settings: name each value once")
    kept = [text for text, item in parsed if item.key_or_group != "sweep_dir"]
    verbose = any(item.key_or_group == "hydra.verbose" and item.value() for _, item in parsed)
    return Plan(folder, jobs, [*kept, f"sweep_dir={folder}"], verbose, multirun)


def _parse(arguments: Sequence[str]) -> list[tuple[str, Override]]:
    parsed = []
    with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
        # The loader lets a glob such as partition=glob(*) find its options.
        parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
        for text in arguments:
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
    told: list[Override],
    *,
    preset: str | None,
    given: list[str],
) -> Path:
    """Return where the sweep goes: as asked, or a name that the same sweep finds again.

    The default depends on the preset or else the swept keys, not on their values, so that a value
    more is added to what is there.
    """
    for _, item in reversed(parsed):
        if item.key_or_group == "sweep_dir":
            path = str(item.value())
            if item.is_sweep_override() or _FORBIDDEN_IN_PATHS.search(path):
                raise ConfigError(
                    f"sweep_dir={path}: allowed are letters, digits and . / _ + - : ~ @"
                )
            return Path(path)
    swept = _readable("+".join(sorted({_plain(item.key_or_group) for item in told})))
    name = preset or swept or "defaults"
    fixed = [str(item.input_line) for item in own if item not in told]
    fixed = [text for text in fixed if text not in given]
    return SWEEPS / (f"{name}-{_digest(fixed)}" if fixed else name)


def _job(overrides: tuple[str, ...], told: set[str], folder: Path) -> Job:
    parser = OverridesParser.create()
    items = [parser.parse_override(text) for text in overrides]
    values = {_plain(item.key_or_group): item.value() for item in items}
    shown = {
        _plain(item.key_or_group): item.value() for item in items if item.get_key_element() in told
    }
    label = " ".join(f"{key}={value}" for key, value in shown.items())
    name = _readable("+".join(f"{key}-{shown[key]}" for key in sorted(shown)))
    digest = _digest(overrides)
    # The hash stands for all settings, however few of them the earlier sweep has put in the name.
    earlier = sorted(folder.glob(f"*-{digest}"))
    return Job(
        overrides, values, label, earlier[0] if earlier else folder / f"{name or 'run'}-{digest}"
    )


def _readable(text: str) -> str:
    return _FORBIDDEN.sub("_", text.replace(":", "."))[:_LONGEST_NAME]


def _digest(texts: Sequence[str]) -> str:
    return sha256("\n".join(sorted(texts)).encode()).hexdigest()[:8]


def _plain(key: str) -> str:
    return key.lstrip("+~")
