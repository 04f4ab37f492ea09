"""What every data set looks like: samples in [-1, 1], labels, writers, a train and a test part."""

# N samples, T vectors, C components, K classes

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from flwr_gan.core.settings import Share, checked
from flwr_gan.errors import DataError
from flwr_gan.seeding import numpy_rng

Kind = Literal["strokes", "image"]


@dataclass(frozen=True, eq=False)
class Samples:
    """Labelled samples that belong together, such as the training part of a data set.

    Parameters
    ----------
    x_NTC : float32 array
        Every sample is T vectors of C components in [-1, 1].
    y_N : int64 array
        Class of each sample, 0 .. K - 1.
    writer_N : int64 array or None
        Who wrote each sample, where that is known.

    Raises
    ------
    DataError
        When shapes, types or the range of the values are others.
    """

    x_NTC: npt.NDArray[np.float32]
    y_N: npt.NDArray[np.int64]
    writer_N: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if self.x_NTC.dtype != np.float32 or self.x_NTC.ndim != 3:
            raise DataError(
                f"samples must be float32 of 3 axes, not {self.x_NTC.dtype} of {self.x_NTC.ndim}"
            )
        for name, values in (("labels", self.y_N), ("writers", self.writer_N)):
            if values is not None and (
                values.dtype != np.int64 or values.shape != self.x_NTC.shape[:1]
            ):
                raise DataError(
                    f"{name} must be int64, one for each of the {len(self.x_NTC)} samples, "
                    f"not {values.dtype} of shape {values.shape}"
                )
        # NaN fails the comparison too.
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

    Both parts are empty where the samples lie elsewhere.

    Parameters
    ----------
    name : str
        Name of the data set, as in ``data=name``.
    train, test : Samples
        The two parts.
    class_names : tuple of str
        One name a class, in the order of the labels.
    kind : "strokes" or "image"
        How a sample is drawn: vectors (dx, dy, pen), or T rows of C pixels.

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
        """T, the number of vectors of a sample."""
        return int(self.train.x_NTC.shape[1])

    @property
    def num_components(self) -> int:
        """C, the number of components of a vector."""
        return int(self.train.x_NTC.shape[2])


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
