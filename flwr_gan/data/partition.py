"""Splits of the training samples among clients.

N samples, P clients (partitions), K classes.
"""

import logging
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from flwr_gan.core.settings import Count, Positive, Settings, checked
from flwr_gan.data.dataset import Samples
from flwr_gan.errors import PartitionError
from flwr_gan.seeding import derive_seed, numpy_rng

logger = logging.getLogger(__name__)

Indices = NDArray[np.int64]

_LABEL, _INDEX = "label", "index"
_ATTEMPTS = 25


class Split(Settings, ABC):
    """A rule for dealing samples to clients."""

    group = "partition"

    def __call__(self, samples: Samples, *, num_clients: int, seed: int) -> list[Indices]:
        """Return the sorted indices of each client's samples; no sample is held twice.

        ``num_clients`` is P, at least 1. The split depends only on ``seed``, that of the run, the
        labels and the writers. Raises ConfigError when ``num_clients`` is below 1, PartitionError
        when a client would be left without data; the message names the setting to change.
        """
        checked("federation.num_clients", num_clients, Count)
        if num_clients > len(samples):
            raise PartitionError(
                f"federation.num_clients={num_clients} leaves clients without data: there are "
                f"{len(samples)} training samples; lower it to {len(samples)} or less"
            )
        return self._split(samples, num_clients, seed)

    @abstractmethod
    def _split(self, samples: Samples, num_clients: int, seed: int) -> list[Indices]:
        """Split the samples, of which there is at least one for each client."""


@dataclass(frozen=True, kw_only=True)
class IidSplit(Split):
    """Deal samples at random, equal numbers per client up to one."""

    def _split(self, samples: Samples, num_clients: int, seed: int) -> list[Indices]:
        from flwr_datasets.partitioner import IidPartitioner

        return list(_deal(IidPartitioner(num_clients), samples.y_N, seed=seed))


@dataclass(frozen=True, kw_only=True)
class DirichletSplit(Split):
    """Divide each class in random proportions (Yurochkin et al. 2019, arXiv:1905.12022).

    flwr-datasets 0.6.1 cuts each class at running sums that are rounded down. So on average the
    first client gets half a sample per class less than its share, and the last client half a sample
    more: little with ten classes, much with a hundred classes of few samples.
    """

    # concentration: with small values clients hold few classes each, with large ones they are alike
    alpha: Positive = 0.5
    # minimum number of samples per client; proportions are drawn again, up to 25 times, until each
    # client has it. By default a twentieth of the average, from 1 to 10
    min_partition_size: Count | None = None

    def _split(self, samples: Samples, num_clients: int, seed: int) -> list[Indices]:
        average = len(samples) // num_clients
        least = self.min_partition_size or min(10, max(1, average // 20))
        if least > average:
            raise PartitionError(
                f"partition.min_partition_size={least} is more than {len(samples)} training "
                f"samples give federation.num_clients={num_clients} clients; lower one of them"
            )
        from flwr_datasets.partitioner import DirichletPartitioner

        for attempt in range(_ATTEMPTS):
            partitioner = DirichletPartitioner(
                num_clients,
                _LABEL,
                float(self.alpha),
                # Checked below: the partitioner itself warns at each attempt and gives up early.
                min_partition_size=0,
                shuffle=False,
                seed=derive_seed(seed, "dirichlet", round=attempt),
            )
            parts = []
            for indices in _deal(partitioner, samples.y_N, seed=seed):
                if len(indices) < least:
                    break
                parts.append(indices)
            else:
                return parts
        raise PartitionError(
            f"partition.alpha={self.alpha} left a client with fewer than {least} samples "
            f"in {_ATTEMPTS} draws; raise it, or lower federation.num_clients={num_clients} "
            "or partition.min_partition_size"
        )


@dataclass(frozen=True, kw_only=True)
class PathologicalSplit(Split):
    """Give each client a number of classes (Li et al. 2022, arXiv:2102.02079).

    A class is divided among the clients that have it. A class without clients is left out and
    logged; this is likely with fewer clients than classes.
    """

    classes_per_client: Count = 2
    # first-deterministic: client i has class i (modulo their number), the others at random;
    # deterministic: classes i, i + 1, ...
    assignment: Literal["first-deterministic", "deterministic", "random"] = "first-deterministic"

    def _split(self, samples: Samples, num_clients: int, seed: int) -> list[Indices]:
        classes = np.unique(samples.y_N)
        if self.classes_per_client > len(classes):
            raise PartitionError(
                f"partition.classes_per_client={self.classes_per_client} is more than the "
                f"{len(classes)} classes of the training samples; lower it"
            )
        from flwr_datasets.partitioner import PathologicalPartitioner

        partitioner = PathologicalPartitioner(
            num_clients,
            _LABEL,
            self.classes_per_client,
            class_assignment_mode=self.assignment,
            shuffle=False,
            seed=derive_seed(seed, "pathological"),
        )
        try:
            parts = list(_deal(partitioner, samples.y_N, seed=seed))
        except ValueError as error:
            raise PartitionError(
                f"partition.classes_per_client={self.classes_per_client} leaves clients without "
                f"data: with federation.num_clients={num_clients} a class has more holders than "
                "samples; lower one of them"
            ) from error
        unused = np.setdiff1d(classes, samples.y_N[np.concatenate(parts)])
        if len(unused):
            logger.warning(
                "no client holds class %s; raise partition.classes_per_client or "
                "federation.num_clients",
                ", ".join(map(str, unused)),
            )
        return parts


@dataclass(frozen=True, kw_only=True)
class ShardSplit(Split):
    """Deal out shards of samples of one class, or few (McMahan et al. 2017, arXiv:1602.05629).

    Shards are equally large, except the last. All samples are dealt; if the shards do not divide
    evenly, the first clients have one more.
    """

    shards_per_client: Count = 2  # the least that a client gets

    def _split(self, samples: Samples, num_clients: int, seed: int) -> list[Indices]:
        num_shards = num_clients * self.shards_per_client
        if num_shards > len(samples):
            raise PartitionError(
                f"partition.shards_per_client={self.shards_per_client} leaves shards without data: "
                f"federation.num_clients={num_clients} makes {num_shards} shards of {len(samples)} "
                "training samples; lower one of them"
            )
        from flwr_datasets.partitioner import ShardPartitioner

        # The last shard takes what is left. Rounding up gives the number of shards asked for,
        # unless they are so small that some would be empty.
        shard_size = -(-len(samples) // num_shards)
        if -(-len(samples) // shard_size) < num_shards:
            shard_size = len(samples) // num_shards
        partitioner = ShardPartitioner(
            num_clients,
            _LABEL,
            shard_size=shard_size,
            keep_incomplete_shard=True,
            shuffle=False,
            seed=derive_seed(seed, "shard"),
        )
        return list(_deal(partitioner, samples.y_N, seed=seed))


@dataclass(frozen=True, kw_only=True)
class WriterSplit(Split):
    """Shuffle the writers and deal them in blocks, equal numbers per client up to one."""

    def _split(self, samples: Samples, num_clients: int, seed: int) -> list[Indices]:
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


def class_counts(y_N: Indices, parts: Sequence[Indices], *, num_classes: int) -> Indices:
    """Return the number of each client's samples per class, ``(P, K)`` int64."""
    counts = [np.bincount(y_N[indices], minlength=num_classes) for indices in parts]
    return np.stack(counts).astype(np.int64)


def _deal(partitioner: Any, y_N: Indices, *, seed: int) -> Iterator[Indices]:
    """Yield the sorted indices that a partitioner of flwr-datasets deals to each client.

    The labels are passed in a random order of our own, since some partitioners deal out runs of
    consecutive samples and data sets are sorted by writer. Raises ValueError when the partitioner
    finds no such split.
    """
    # Imported here: it takes a second. The table stays in memory: nothing is cached on disk.
    import datasets

    order = numpy_rng(seed, "partition order").permutation(len(y_N))
    with warnings.catch_warnings():
        # Of these libraries about each other, and of classes left out, which callers look for.
        warnings.simplefilter("ignore")
        partitioner.dataset = datasets.Dataset.from_dict({_LABEL: y_N[order], _INDEX: order})
        num_partitions = partitioner.num_partitions
    for client in range(num_partitions):
        table = partitioner.load_partition(client)
        yield np.sort(np.array(table[_INDEX][:], dtype=np.int64))
