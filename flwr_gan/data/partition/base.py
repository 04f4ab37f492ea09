"""What every split has in common, and the way to the partitioners of flwr-datasets."""

# N samples, P clients (partitions), K classes

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from flwr_gan.data.dataset import Samples
from flwr_gan.data.settings import check_int
from flwr_gan.errors import PartitionError
from flwr_gan.seeding import numpy_rng

Indices = npt.NDArray[np.int64]

LABEL_COLUMN = "label"
_INDEX_COLUMN = "index"


class Split(Protocol):
    """A way to deal samples to clients."""

    def __call__(self, samples: Samples, *, num_clients: int, seed: int) -> list[Indices]:
        """Return the sorted indices of each client's samples; no sample is held twice.

        Parameters
        ----------
        samples : Samples
            What is dealt out.
        num_clients : int
            P, at least 1.
        seed : int
            Seed of the run; the split depends on it, the labels and the writers alone.

        Raises
        ------
        ConfigError
            When `num_clients` is below 1.
        PartitionError
            When a client would be left without data; the message names the setting to change.
        """


def check_num_clients(samples: Samples, num_clients: int) -> None:
    """Raise unless there is a sample for each client.

    Raises
    ------
    ConfigError
        When there are no clients.
    PartitionError
        When there are more clients than samples.
    """
    check_int("federation.num_clients", num_clients, at_least=1)
    if num_clients > len(samples):
        raise PartitionError(
            f"federation.num_clients={num_clients} leaves clients without data: there are "
            f"{len(samples)} training samples; lower it to {len(samples)} or less"
        )


def deal_with(partitioner: Any, y_N: npt.NDArray[np.int64], *, seed: int) -> Iterator[Indices]:
    """Yield the sorted indices that a flwr-datasets partitioner deals to each client.

    The labels are handed over in a random order of our own, since some partitioners deal out runs
    of consecutive samples and data sets are sorted by writer.

    Parameters
    ----------
    partitioner : flwr_datasets.partitioner.Partitioner
        Without a data set yet.
    y_N : int64 array
        The labels.
    seed : int
        Seed of the order.

    Raises
    ------
    ValueError
        When the partitioner finds no such split.
    """
    # Imported here: it takes a second. The table stays in memory: nothing is cached on disk.
    import datasets

    order = numpy_rng(seed, "partition order").permutation(len(y_N))
    with warnings.catch_warnings():
        # Of these libraries about each other, and of classes left out, which callers look for.
        warnings.simplefilter("ignore")
        partitioner.dataset = datasets.Dataset.from_dict(
            {LABEL_COLUMN: y_N[order], _INDEX_COLUMN: order}
        )
        num_partitions = partitioner.num_partitions
    for client in range(num_partitions):
        table = partitioner.load_partition(client)
        yield np.sort(np.array(table[_INDEX_COLUMN][:], dtype=np.int64))


def class_counts(
    y_N: npt.NDArray[np.int64], parts: Sequence[Indices], *, num_classes: int
) -> npt.NDArray[np.int64]:
    """Return how many samples of each class each client holds, ``(P, K)`` int64."""
    counts = [np.bincount(y_N[indices], minlength=num_classes) for indices in parts]
    return np.stack(counts).astype(np.int64)
