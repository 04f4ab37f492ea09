"""Event files that TensorBoard shows: ``tensorboard --logdir runs``."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.image import imread

from flwr_gan.errors import OutputError
from flwr_gan.loggers.base import RunLogger

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


class TensorBoardLogger(RunLogger):
    """Writes event files with tensorboardX into ``output_dir/tensorboard``."""

    requires = "tensorboardX"
    extra = "tensorboard"

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
        """Write one scalar for each number of the row that is finite."""
        step = int(row["round"])
        for key, value in row.items():
            if key == "round" or not isinstance(value, int | float) or not math.isfinite(value):
                continue
            self._writer.add_scalar(_TAGS.get(key, f"quality/{key}"), float(value), step)
        self._writer.flush()

    def log_picture(self, name: str, picture: Path, *, server_round: int) -> None:
        """Write a picture."""
        self._writer.add_image(name, imread(picture), server_round, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()
