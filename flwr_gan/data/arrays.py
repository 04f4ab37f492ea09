"""``arrays``: your own samples in an ``.npz`` file; on a server without data, only their form.

N samples, T vectors or rows, C components or columns.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flwr_gan.core.settings import Count, Share, checked, require_one_of
from flwr_gan.data.dataset import (
    MOST_BYTES,
    Dataset,
    Kind,
    Samples,
    check_size,
    class_list,
    scaled,
    split_by_class,
    split_by_writer,
    without_samples,
)
from flwr_gan.errors import ConfigError, DataError

MOST_CLASSES = 10_000
_EXPECTED = (
    "an .npz file with x, (N, T, C) or (N, rows, columns, channels), and y, (N,), is expected"
)


def load_arrays(
    *,
    path: str | Path | None = None,
    kind: Kind = "image",
    class_names: Sequence[str] | None = None,
    test_fraction: float = 0.2,
    split_seed: int = 0,
    num_vectors: int | None = None,
    num_components: int | None = None,
    num_channels: int | None = None,
) -> Dataset:
    """Return the samples of an ``.npz`` file, or a data set of their form without samples.

    Parameters
    ----------
    path : path, optional
        The file. ``x`` of shape (N, T, C), or (N, rows, columns, channels) for images in colour:
        float in [-1, 1], or uint8, which is scaled to that. ``y`` of shape (N,): whole numbers
        from 0. ``writer``, optional, of the same shape: whole numbers for the writers.
        Nothing is unpickled. Without a file the data set has no samples, for a server whose nodes
        have their own data.
    kind : {"image", "strokes"}
        How samples are drawn.
    class_names : sequence of str, optional
        One name per class; the numbers from 0 to the largest label by default.
    test_fraction : float
        Share of the writers that is held out; without ``writer`` a share of each class, at least
        one sample if the class has two.
    split_seed : int
        Seed of that split.
    num_vectors, num_components, num_channels : int, optional
        T, C and channels; the first two are needed without a file, all are checked with one.

    Raises
    ------
    DataError
        When the file cannot be read or is not of this form.
    ConfigError
        When a setting is out of range or missing.
    """
    require_one_of("data.kind", kind, ("image", "strokes"))
    checked("data.test_fraction", test_fraction, Share)
    checked("data.num_vectors", num_vectors, Count | None)
    checked("data.num_components", num_components, Count | None)
    checked("data.num_channels", num_channels, Count | None)
    if path is None:
        if num_vectors is None or num_components is None or class_names is None:
            raise ConfigError(
                "data.path=null: give the file, or data=remote where the data lie on the nodes"
            )
        shape = (num_vectors, num_components, num_channels or 1)
        return without_samples("remote", shape, class_names, kind)
    file = Path(str(path)).expanduser()
    samples = _samples(file, _read(file))
    found = (*samples.x_NTC.shape[1:], 1)[:3]
    asked = tuple(
        wanted or has
        for wanted, has in zip((num_vectors, num_components, num_channels), found, strict=True)
    )
    if asked != found:
        raise DataError(
            f"{file}: samples are {_sizes(found)}, and the run's are {_sizes(asked)}: give a file "
            "of these, or change data.num_vectors, data.num_components or data.num_channels"
        )
    numbers = list(range(int(samples.y_N.max()) + 1))
    names = class_list(numbers if class_names is None else class_names)
    split = split_by_class if samples.writer_N is None else split_by_writer
    train, test = split(samples, test_fraction=test_fraction, split_seed=split_seed)
    return Dataset(file.stem, train, test, tuple(names), kind)


def _read(file: Path) -> dict[str, NDArray[np.generic]]:
    """Return the arrays ``x``, ``y`` and, if present, ``writer`` of a file."""
    try:
        with file.open("rb") as opened:
            arrays = np.load(opened, allow_pickle=False)
            if not isinstance(arrays, np.lib.npyio.NpzFile) or arrays.zip is None:
                raise DataError(f"cannot read {file}: it is no .npz file; {_EXPECTED}")
            for member in arrays.zip.infolist():
                if member.file_size > MOST_BYTES:
                    raise DataError(
                        f"{file}: {member.filename} takes {member.file_size:,} bytes: at most "
                        f"{MOST_BYTES:,} are read; give fewer or smaller samples"
                    )
            return {
                name: arrays[name]
                for name in ("x", "y", "writer")
                if name != "writer" or name in arrays
            }
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror or error}") from error
    except DataError:
        raise
    except Exception as error:  # any error of the readers of zip files and headers
        reason = " ".join(str(error).split())
        raise DataError(f"cannot read {file}: {reason}; {_EXPECTED}") from error


def _samples(file: Path, arrays: dict[str, NDArray[np.generic]]) -> Samples:
    """Return the arrays of a file as samples, checked."""
    x, y = arrays["x"], arrays["y"]
    if x.ndim not in (3, 4) or y.shape != x.shape[:1] or not x.size:
        found = f"x is {x.dtype} {x.shape}, y is {y.dtype} {y.shape}"
        raise DataError(f"{file}: {found}; {_EXPECTED}")
    if x.ndim == 4 and x.shape[1] <= 4 < x.shape[3]:
        raise DataError(
            f"{file}: x is {x.shape}; the channels of images come last: "
            "save x.transpose(0, 2, 3, 1)"
        )
    check_size(file, len(x), x.shape[1:])
    if x.ndim == 4 and x.shape[3] == 1:
        x = x[..., 0]
    if x.dtype == np.uint8:
        x_NTC = scaled(np.ascontiguousarray(x, dtype=np.uint8))
    elif x.dtype.kind == "f":
        x_NTC = np.ascontiguousarray(x, dtype=np.float32)
        low, high = x_NTC.min(), x_NTC.max()
        if not (low >= -1 and high <= 1):
            raise DataError(
                f"{file}: x goes from {low:g} to {high:g}: give floats in [-1, 1], or uint8"
            )
    else:
        raise DataError(f"{file}: x is {x.dtype}: give floats in [-1, 1], or uint8")
    y_N = _whole_numbers(file, "y", y, len(x), "labels are whole numbers from 0")
    if y_N.min() < 0 or y_N.max() >= MOST_CLASSES:
        raise DataError(
            f"{file}: y goes from {y_N.min()} to {y_N.max()}: labels are whole numbers from 0 to "
            f"{MOST_CLASSES - 1} at most"
        )
    if "writer" not in arrays:
        return Samples(x_NTC, y_N)
    allowed = "writers are whole numbers, one for each sample"
    writer_N = _whole_numbers(file, "writer", arrays["writer"], len(x), allowed)
    if len(np.unique(writer_N)) < 2:
        raise DataError(
            f"{file}: all samples have writer {writer_N[0]}: give two or more, since some are "
            "held out, or leave writer out"
        )
    return Samples(x_NTC, y_N, writer_N)


def _whole_numbers(
    file: Path, name: str, values: NDArray[np.generic], count: int, allowed: str
) -> NDArray[np.int64]:
    if values.dtype.kind not in "iu" or values.shape != (count,):
        raise DataError(f"{file}: {name} is {values.dtype} {values.shape}; {allowed}")
    return values.astype(np.int64)


def _sizes(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape if shape[2] > 1 else shape[:2]))
