"""Data sets: samples in [-1, 1], labels, writers, a training and a test part."""

# N samples, T vectors or rows, C components or columns, K classes

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import numpy.typing as npt

from flwr_gan.core.settings import Share, checked, require
from flwr_gan.errors import DataError
from flwr_gan.seeding import numpy_rng

Kind = Literal["strokes", "image"]
MOST_BYTES = 1 << 33  # 8 GiB, the memory limit for the samples of a data set


@dataclass(frozen=True, eq=False)
class Samples:
    """Labelled samples that belong together, such as the training part of a data set.

    Parameters
    ----------
    x_NTC : float32 array
        Every sample is T vectors of C components in [-1, 1], or a grey image of T rows and C
        columns. An image in colour has one more axis with two or more channels: (N, T, C, 3) for
        red, green and blue, from -1 (none of a colour) to 1 (all of it).
    y_N : int64 array
        Class of each sample, 0 .. K - 1.
    writer_N : int64 array or None
        The writer of each sample, if known.

    Raises
    ------
    DataError
        When shapes, types or the range of the values are wrong.
    """

    x_NTC: npt.NDArray[np.float32]
    y_N: npt.NDArray[np.int64]
    writer_N: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        shape = self.x_NTC.shape
        has_form = len(shape) == 3 or (len(shape) == 4 and shape[3] > 1)
        if self.x_NTC.dtype != np.float32 or not has_form:
            raise DataError(
                "samples must be float32 (N, T, C), or (N, T, C, channels) of two channels or "
                f"more, not {self.x_NTC.dtype} {shape}"
            )
        for name, values in (("labels", self.y_N), ("writers", self.writer_N)):
            if values is not None and (
                values.dtype != np.int64 or values.shape != self.x_NTC.shape[:1]
            ):
                raise DataError(
                    f"{name} must be int64, one for each of the {len(self.x_NTC)} samples, "
                    f"not {values.dtype} of shape {values.shape}"
                )
        # NaN also fails the comparison.
        if self.x_NTC.size and not (self.x_NTC.min() >= -1 and self.x_NTC.max() <= 1):
            raise DataError("samples must lie in [-1, 1]")

    def __len__(self) -> int:
        return len(self.y_N)

    def take(self, indices: npt.ArrayLike) -> "Samples":
        """Return the samples at `indices` (integers), in that order."""
        chosen = np.asarray(indices, dtype=np.int64)
        writers = None if self.writer_N is None else self.writer_N[chosen]
        return Samples(self.x_NTC[chosen], self.y_N[chosen], writers)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set, split into a training and a test part; no writer is in both.

    Both parts are empty if the samples are on other machines.

    Parameters
    ----------
    name : str
        Name of the data set, as in ``data=name``.
    train, test : Samples
        The two parts.
    class_names : tuple of str
        One name per class, in the order of the labels.
    kind : "strokes" or "image"
        How a sample is drawn: vectors (dx, dy, pen), or T rows of C pixels, grey or in colour.

    Raises
    ------
    DataError
        When the parts do not fit each other or the class names.
    """

    name: str
    train: Samples
    test: Samples
    class_names: tuple[str, ...]
    kind: Kind

    def __post_init__(self) -> None:
        if self.train.x_NTC.shape[1:] != self.test.x_NTC.shape[1:]:
            raise DataError(f"{self.name}: training and test samples differ in shape")
        if self.kind == "strokes" and (self.num_channels, self.num_components) != (1, 3):
            raise DataError(
                f"{self.name}: strokes are vectors (dx, dy, pen), and samples here are "
                f"{self.form}: give kind=image, or 3 components"
            )
        if not len(self.train) and not len(self.test):
            return  # the samples lie elsewhere
        for part in (self.train, self.test):
            if not len(part):
                raise DataError(f"{self.name}: a part of the split has no samples")
            if part.y_N.min() < 0 or part.y_N.max() >= self.num_classes:
                raise DataError(f"{self.name}: labels must be 0 .. {self.num_classes - 1}")

    @property
    def num_classes(self) -> int:
        """K, the number of classes."""
        return len(self.class_names)

    @property
    def num_vectors(self) -> int:
        """T, the number of vectors of a sample, or of an image's rows."""
        return int(self.train.x_NTC.shape[1])

    @property
    def num_components(self) -> int:
        """C, the number of components of a vector, or of an image's columns."""
        return int(self.train.x_NTC.shape[2])

    @property
    def num_channels(self) -> int:
        """Number of channels of an image: 1 for grey images and for vectors."""
        shape = self.train.x_NTC.shape
        return int(shape[3]) if len(shape) == 4 else 1

    @property
    def form(self) -> str:
        """The form of samples in words: ``8 x 8``, or ``32 x 32 x 3`` in colour."""
        return " x ".join(map(str, self.train.x_NTC.shape[1:]))


def class_list(class_names: object) -> list[str]:
    """Return the names of classes in a setting, as words.

    Raises ConfigError unless they are a list of one or more different names.
    """
    is_list = isinstance(class_names, Sequence) and not isinstance(class_names, str)
    names = list(map(str, cast(Sequence[object], class_names))) if is_list else []
    holds = len(set(names)) == len(names) > 0
    require("data.class_names", class_names, holds, "a list of one name or more, each once")
    return names


def without_samples(
    name: str, shape: Sequence[int], class_names: Sequence[str], kind: Kind
) -> Dataset:
    """Return a data set of samples of a shape, (T, C) or (T, C, channels), that lie elsewhere."""
    rows, columns, *channels = shape
    colours = [count for count in channels if count > 1]  # one channel is no axis
    none = Samples(np.zeros((0, rows, columns, *colours), np.float32), np.zeros(0, np.int64))
    return Dataset(name, none, none, tuple(class_list(class_names)), kind)


def check_size(place: object, count: int, shape: Sequence[int]) -> None:
    """Raise DataError if float32 samples of a shape are too many for memory.

    Call it before allocation. ``place`` names the source of the samples in the error.
    """
    needed = 4 * math.prod((count, *shape))
    if needed > MOST_BYTES:
        raise DataError(
            f"{place}: {count:,} samples of {' x '.join(map(str, shape))} take "
            f"{needed / 1e9:.1f} GB in memory: at most {MOST_BYTES / 1e9:.1f} GB are allowed; give "
            "fewer or smaller ones"
        )


def scaled(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return pixels 0 .. 255 as float32 in [-1, 1], of the same shape."""
    x = pixels.astype(np.float32)
    # In place: 70,000 images of 28 x 28 pixels already take 220 MB.
    x /= np.float32(127.5)
    x -= np.float32(1)
    return x


def split_by_class(
    samples: Samples, *, test_fraction: float, split_seed: int
) -> tuple[Samples, Samples]:
    """Return a training and a test part, with the same share of each class held out.

    ``test_fraction`` is in (0, 1). A class of two or more samples has at least one in each part; a
    single sample is in the training part.
    """
    checked("data.test_fraction", test_fraction, Share)
    rng, held = numpy_rng(split_seed, "file split"), [np.zeros(0, np.int64)]
    for k in np.unique(samples.y_N):
        of_class = rng.permutation(np.flatnonzero(samples.y_N == k))
        count = max(1, round(test_fraction * len(of_class)))
        held.append(of_class[: min(count, len(of_class) - 1)])
    is_held = np.isin(np.arange(len(samples)), np.concatenate(held))
    return samples.take(np.flatnonzero(~is_held)), samples.take(np.flatnonzero(is_held))


def split_by_writer(
    samples: Samples, *, test_fraction: float, split_seed: int
) -> tuple[Samples, Samples]:
    """Return a training and a test part written by different people.

    ``test_fraction`` of the writers, in (0, 1), are held out; at least one is in each part.
    """
    checked("data.test_fraction", test_fraction, Share)
    if samples.writer_N is None:
        raise ValueError("the samples have no writers")
    writers = np.unique(samples.writer_N)
    num_test = min(max(round(len(writers) * test_fraction), 1), len(writers) - 1)
    order = numpy_rng(split_seed, "test writers").permutation(writers)
    held_out = np.isin(samples.writer_N, order[:num_test])
    return samples.take(np.flatnonzero(~held_out)), samples.take(np.flatnonzero(held_out))
