"""Where a run's figures go beside its own files: ``logger=NAME`` of the run's config."""

import math
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from flwr_gan.core.settings import require_one_of
from flwr_gan.errors import ConfigError, OutputError

FOLDER = "tensorboard"
# TensorBoard shows what stands before the slash as a group; what is not here is a quality measure.
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


class TensorBoardLogger:
    """Writes event files into ``output_dir/tensorboard``: ``tensorboard --logdir runs`` shows them.

    What an interrupted part of the run has logged of `first_round` and later ones does not count.
    """

    def __init__(self, folder: Path, *, first_round: int) -> None:
        from tensorboardX import SummaryWriter

        try:
            self._writer = SummaryWriter(
                str(folder / FOLDER),
                # Rounds that were logged but not finished are trained, and logged, again.
                purge_step=first_round,
                # Two parts of a run that start in one second are two files.
                filename_suffix=f".from-round-{first_round:05d}",
            )
        except OSError as error:
            raise OutputError(f"cannot write {folder / FOLDER}: {error.strerror}") from error

    def log_round(self, row: Mapping[str, Any]) -> None:
        """Write one scalar for each number of a row of ``rounds.csv`` that is finite."""
        step = int(row["round"])
        for key, value in row.items():
            if key == "round" or not isinstance(value, int | float) or not math.isfinite(value):
                continue
            self._writer.add_scalar(_TAGS.get(key, f"quality/{key}"), float(value), step)
        self._writer.flush()

    def log_picture(self, name: str, picture: Path, *, server_round: int) -> None:
        """Write a PNG picture."""
        from matplotlib.image import imread

        self._writer.add_image(name, imread(picture), server_round, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        """Close the event file; another can be opened later."""
        self._writer.close()


LOGGERS = {"tensorboard": (TensorBoardLogger, "tensorboardX")}
"""Every logger by its name, with the module that has to be installed for it."""


def check_logger(name: str | None) -> None:
    """Raise a ConfigError unless a logger is known and installed; None is allowed."""
    if name is None:
        return
    require_one_of("logger", name, LOGGERS)
    needed = LOGGERS[name][1]
    if find_spec(needed) is None:
        raise ConfigError(f"logger={name} needs {needed}: pip install 'flwr-gan[{name}]'")


def open_logger(name: str | None, folder: Path, *, first_round: int) -> TensorBoardLogger | None:
    """Return the logger of a run, None where its config names none; see ``TensorBoardLogger``."""
    check_logger(name)
    return None if name is None else LOGGERS[name][0](folder, first_round=first_round)
