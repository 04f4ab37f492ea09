"""``file``: samples of your own, from an ``.npz`` file; on a server without data, their form alone.

N samples, T vectors, C components.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flwr_gan.core.settings import Share, checked, require_one_of
from flwr_gan.data.dataset import Dataset, Kind, Samples
from flwr_gan.errors import ConfigError, DataError
from flwr_gan.seeding import numpy_rng

_EXPECTED = "an .npz file with x (N, T, C) and y (N,) is expected"


def load_file(
    *,
    path: str | Path | None = None,
    kind: Kind = "image",
    class_names: Sequence[str] | None = None,
    test_fraction: float = 0.2,
    split_seed: int = 0,
    num_vectors: int | None = None,
    num_components: int | None = None,
) -> Dataset:
    """Return the samples of an ``.npz`` file, or a data set of their form without samples.

    Parameters
    ----------
    path : path, optional
        The file: ``x`` of shape (N, T, C), float in [-1, 1] or uint8, which is scaled to that, and
        ``y`` of shape (N,), whole numbers from 0. Without it the data set has no samples, for a
        server whose nodes have data of their own.
    kind : {"image", "strokes"}
        How samples are drawn.
    class_names : sequence of str, optional
        One name per class; the numbers from 0 to the largest label by default.
    test_fraction : float
        Share of each class that is held out, at least one sample of it.
    split_seed : int
        Seed of that split.
    num_vectors, num_components : int, optional
        T and C; needed without a file, and checked with one.

    Raises
    ------
    DataError
        When the file cannot be read or is not of this form.
    ConfigError
        When a setting is out of range or missing.
    """
    require_one_of("data.kind", kind, ("image", "strokes"))
    checked("data.test_fraction", test_fraction, Share)
    if path is None:
        if None in (num_vectors, num_components, class_names):
            raise ConfigError(
                "data.path=null: give the file, or data=remote where the data lie on the nodes"
            )
        none = Samples(
            np.zeros((0, int(num_vectors or 0), int(num_components or 0)), np.float32),
            np.zeros(0, np.int64),
        )
        return Dataset("remote", none, none, tuple(map(str, class_names or ())), kind)
    file = Path(str(path)).expanduser()
    x_NTC, y_N = _read(file)
    form = (num_vectors or x_NTC.shape[1], num_components or x_NTC.shape[2])
    if form != x_NTC.shape[1:]:
        raise DataError(f"{file}: samples are {x_NTC.shape[1:]}, and the run's are {form}")
    names = class_names if class_names is not None else range(int(y_N.max()) + 1)
    rng, held = numpy_rng(split_seed, "file split"), []
    for k in np.unique(y_N):
        of_class = rng.permutation(np.flatnonzero(y_N == k))
        held.append(of_class[: max(1, round(test_fraction * len(of_class)))])
    is_held = np.isin(np.arange(len(y_N)), np.concatenate(held))
    samples = Samples(x_NTC, y_N)
    return Dataset(
        file.stem,
        samples.take(np.flatnonzero(~is_held)),
        samples.take(np.flatnonzero(is_held)),
        tuple(map(str, names)),
        kind,
    )


def _read(file: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the arrays of a file, checked."""
    try:
        with np.load(file) as arrays:
            x_NTC, y_N = arrays["x"], arrays["y"]
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror or error}") from error
    except (KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(f"cannot read {file}: {_one_line(error)}; {_EXPECTED}") from error
    if x_NTC.dtype == np.uint8:
        x_NTC = x_NTC.astype(np.float32) / 127.5 - 1
    if x_NTC.ndim != 3 or x_NTC.dtype.kind != "f" or y_N.shape != x_NTC.shape[:1] or not len(y_N):
        found = f"x is {x_NTC.dtype} {x_NTC.shape}, y is {y_N.dtype} {y_N.shape}"
        raise DataError(f"{file}: {found}; {_EXPECTED}")
    if y_N.dtype.kind not in "iu":
        raise DataError(f"{file}: y is {y_N.dtype}; labels are whole numbers from 0")
    return x_NTC.astype(np.float32), y_N.astype(np.int64)


def _one_line(error: Any) -> str:
    return " ".join(str(error).split())
