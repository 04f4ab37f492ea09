"""Loggers for a run's figures besides its own files: ``logger=NAME`` of the run's config.

Each part of an interrupted run opens a log and writes all rounds so far again: the last log holds
the whole run.
"""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from flwr_gan.core.settings import require_one_of
from flwr_gan.errors import ConfigError, OutputError

# TensorBoard groups tags by the part before the slash; all other columns are quality measures.
_TAGS = {
    "up_bytes": "bytes/up",
    "down_bytes": "bytes/down",
    "dense_up_bytes": "bytes/dense_up",
    "dense_down_bytes": "bytes/dense_down",
    "sparsity": "run/sparsity",
    "wall_s": "run/wall_s",
    "clients": "run/clients",
    "failures": "run/failures",
}


class Logger(Protocol):
    """Logs the rows of ``rounds.csv`` and pictures; constructed with its output folder."""

    def log_round(self, row: Mapping[str, Any]) -> None:
        """Log each number of a row that is finite."""

    def log_picture(self, name: str, picture: Path, *, server_round: int) -> None:
        """Log a PNG picture."""

    def close(self) -> None:
        """End the log."""


class TensorBoardLogger:
    """Writes event files into a folder: ``tensorboard --logdir runs`` shows them."""

    def __init__(self, folder: Path) -> None:
        from tensorboardX import SummaryWriter

        # Two parts of a run that start in the same second need different files.
        parts = len(list(folder.iterdir())) if folder.is_dir() else 0
        suffix = f".part-{parts:05d}"
        self._writer = SummaryWriter(str(folder), purge_step=1, filename_suffix=suffix)

    def log_round(self, row: Mapping[str, Any]) -> None:
        """Write one scalar per number."""
        for tag, value in _scalars(row):
            self._writer.add_scalar(tag, value, int(row["round"]))
        self._writer.flush()

    def log_picture(self, name: str, picture: Path, *, server_round: int) -> None:
        """Write a picture."""
        from matplotlib.image import imread

        self._writer.add_image(name, imread(picture), server_round, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()


class MlflowLogger:
    """Writes an MLflow run into a folder, without a server.

    ``MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri FOLDER`` shows it.
    """

    def __init__(self, folder: Path) -> None:
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read at import
        os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"  # without it MLflow refuses folders
        from mlflow import MlflowClient

        self._client = MlflowClient(tracking_uri=folder.absolute().as_uri())
        self._run = self._client.create_run("0", run_name=folder.parent.name).info.run_id

    def log_round(self, row: Mapping[str, Any]) -> None:
        """Write one metric per number."""
        for tag, value in _scalars(row):
            self._client.log_metric(self._run, tag, value, step=int(row["round"]))

    def log_picture(self, name: str, picture: Path, *, server_round: int) -> None:
        """Copy a picture to the run's artifacts, into a folder with its name."""
        self._client.log_artifact(self._run, str(picture), f"{name}/round-{server_round}")

    def close(self) -> None:
        """Mark the run as finished."""
        self._client.set_terminated(self._run)


class WandbLogger:
    """Writes an offline run of Weights & Biases: ``wandb sync FOLDER/offline-run-*`` sends it."""

    def __init__(self, folder: Path) -> None:
        os.environ["WANDB_ERROR_REPORTING"] = "false"  # no error reports to its makers
        import wandb

        settings = wandb.Settings(
            silent=True, console="off", x_disable_stats=True, x_disable_meta=True
        )
        run = folder.parent  # wandb adds its own name
        self._run = wandb.init(
            project="flwr_gan", name=run.name, dir=run, mode="offline", settings=settings
        )

    def log_round(self, row: Mapping[str, Any]) -> None:
        """Log all numbers as one step."""
        self._run.log(dict(_scalars(row)), step=int(row["round"]))

    def log_picture(self, name: str, picture: Path, *, server_round: int) -> None:
        """Copy a picture to the files of the run."""
        import wandb

        self._run.log({name: wandb.Image(str(picture))}, step=server_round)

    def close(self) -> None:
        """End the run."""
        self._run.finish()


LOGGERS: dict[str, tuple[Callable[[Path], Logger], str]] = {
    "tensorboard": (TensorBoardLogger, "tensorboardX"),
    "mlflow": (MlflowLogger, "mlflow"),
    "wandb": (WandbLogger, "wandb"),
}
"""All loggers by name, with the module that must be installed."""


def check_logger(name: str | None) -> None:
    """Raise a ConfigError unless the logger is known and installed; None is allowed."""
    if name is None:
        return
    require_one_of("logger", name, LOGGERS)
    needed = LOGGERS[name][1]
    if find_spec(needed) is None:
        raise ConfigError(f"logger={name} needs {needed}: pip install 'flwr-gan[{name}]'")


def open_logger(name: str | None, folder: Path) -> Logger | None:
    """Return the logger of a run, which writes ``folder/NAME``; None if its config has none.

    Raises OutputError if it cannot write.
    """
    if name is None:
        return None
    try:
        return LOGGERS[name][0](folder / name)
    except OSError as error:
        raise OutputError(f"cannot write {folder / name}: {error.strerror}") from error


def _scalars(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the tag and the value of each number of a row that is finite."""
    for key, value in row.items():
        if key != "round" and isinstance(value, int | float) and math.isfinite(value):
            yield _TAGS.get(key, f"quality/{key}"), float(value)
