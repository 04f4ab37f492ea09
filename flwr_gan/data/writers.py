"""Splits that keep every writer's samples together."""

import numpy as np

from flwr_gan.core.settings import Share, checked
from flwr_gan.data.dataset import Samples
from flwr_gan.seeding import numpy_rng


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
