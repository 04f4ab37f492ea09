"""Every client holds all samples of some writers: the split that handwriting brings along."""

from dataclasses import dataclass

import numpy as np

from flwr_gan.data.dataset import Samples
from flwr_gan.data.partition.base import Indices, check_num_clients
from flwr_gan.errors import PartitionError
from flwr_gan.seeding import numpy_rng


@dataclass(frozen=True, kw_only=True)
class WriterSplit:
    """Shuffle the writers and deal them out in blocks, as many to each client, give or take one."""

    def __call__(self, samples: Samples, *, num_clients: int, seed: int) -> list[Indices]:
        """Return each client's sorted indices; see :class:`~flwr_gan.data.partition.base.Split`."""
        check_num_clients(samples, num_clients)
        if samples.writer_N is None:
            raise PartitionError(
                "partition=writer needs data with writers; choose data=pendigits, uji or strokes, "
                "or another partition"
            )
        writers = np.unique(samples.writer_N)
        if num_clients > len(writers):
            raise PartitionError(
                f"federation.num_clients={num_clients} leaves clients without data: the training "
                f"samples have {len(writers)} writers; lower it to {len(writers)} or less"
            )
        order = numpy_rng(seed, "writers").permutation(writers)
        return [
            np.flatnonzero(np.isin(samples.writer_N, block)).astype(np.int64)
            for block in np.array_split(order, num_clients)
        ]
