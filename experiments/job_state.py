"""What became of a job, read from and written to its own folder."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf

from flwr_gan.app.compared import twin_folder
from flwr_gan.core.atomic import write_text
from flwr_gan.errors import ConfigError, OutputError

# Written beside the results of a run; the rest of the folder is the run's own.
JOB_FILE = "job.json"
# Settings that say where a run writes and who watches it, and nothing about what it does.
_PLACES = ("output_dir", "resume", "also_codecs", "sweep_dir", "logger")

Status = Literal["finished", "failed", "unfinished"]


@dataclass(frozen=True)
class JobRecord:
    """How a job ended.

    Parameters
    ----------
    number : int
        Its place in the sweep, from 1.
    values : dict
        What its overrides set.
    status : {"finished", "failed", "unfinished"}
        ``unfinished`` while it runs, and ever after if it was interrupted.
    reason : str
        One line that says why it failed.
    """

    number: int
    values: dict[str, Any]
    status: Status
    reason: str = ""

    def write(self, folder: Path) -> None:
        """Write the record, completely or not at all."""
        write_text(folder / JOB_FILE, json.dumps(asdict(self), indent=2, default=str) + "\n")

    @classmethod
    def read(cls, folder: Path) -> "JobRecord | None":
        """Return the record of a folder, None where there is none.

        Raises
        ------
        OutputError
            When it cannot be read.
        """
        path = folder / JOB_FILE
        if not path.exists():
            return None
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise OutputError(f"{path} is damaged: {error}; remove it") from error


def is_finished(folder: Path) -> bool:
    """Return whether a run has come to its end: the summary is what it writes last."""
    return (folder / "summary.json").exists()


def is_begun(folder: Path) -> bool:
    """Return whether a run has written to a folder."""
    return (folder / "config.yaml").exists()


def plain_settings(config: DictConfig) -> dict[str, Any]:
    """Return all settings of a run but those that leave its results as they are."""
    settings: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    return {key: value for key, value in settings.items() if key not in _PLACES}


def check_settings(folder: Path, settings: dict[str, Any]) -> None:
    """Make sure that the run in `folder` is the one that these settings describe.

    Raises
    ------
    ConfigError
        Naming the first setting that differs: the files in conf/ have changed since.
    """
    earlier = flat_settings(plain_settings(OmegaConf.load(folder / "config.yaml")))  # type: ignore[arg-type]
    now = flat_settings(settings)
    for key in sorted({*earlier, *now}):
        if earlier.get(key) != now.get(key):
            raise ConfigError(
                f"{folder} holds a run with other settings ({key} was {earlier.get(key)} and is "
                f"{now.get(key)}): name another sweep_dir"
            )


def adopt_twin(trainer: Path, codec: str, folder: Path) -> None:
    """Move the results of another codec out of the folder of the run that trained.

    Nothing happens where there are none, or where `folder` holds a run of its own.
    """
    source = twin_folder(trainer, codec)
    if not (is_finished(trainer) and is_finished(source)) or is_begun(folder):
        return
    config = OmegaConf.load(source / "config.yaml")
    config.output_dir = str(folder)
    write_text(source / "config.yaml", OmegaConf.to_yaml(config))
    if folder.exists():
        shutil.rmtree(folder)  # the record of a failure
    source.rename(folder)
    if not any(source.parent.iterdir()):
        source.parent.rmdir()


def flat_settings(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings with one key each, such as ``gan.iterations``."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            flat |= flat_settings(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
