"""A few samples that a case keeps for pictures."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flwr_gan.core.atomic import replacing
from flwr_gan.errors import OutputError

FILE = "samples.npy"


def keep_samples(folder: Path, x_NTC: NDArray[np.float32]) -> None:
    """Write samples into the folder of a case, completely or not at all."""
    with replacing(folder / FILE) as temporary, temporary.open("wb") as stream:
        np.save(stream, x_NTC, allow_pickle=False)


def read_samples(folder: Path) -> NDArray[np.float32]:
    """Return the samples in the folder of a case.

    Raises OutputError when they cannot be read.
    """
    try:
        found: NDArray[np.float32] = np.load(folder / FILE, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot read {folder / FILE}: {error}") from error
    return found
