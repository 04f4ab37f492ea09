"""Every client holds a fixed number of classes."""

import logging
from dataclasses import dataclass

import numpy as np

from flwr_gan.data.dataset import Samples
from flwr_gan.data.partition.base import (
    LABEL_COLUMN,
    Indices,
    check_num_clients,
    deal_with,
)
from flwr_gan.data.settings import check_int
from flwr_gan.errors import ConfigError, PartitionError
from flwr_gan.seeding import derive_seed

logger = logging.getLogger(__name__)

ASSIGNMENTS = ("first-deterministic", "deterministic", "random")


@dataclass(frozen=True, kw_only=True)
class PathologicalSplit:
    """Give each client a number of classes (Li et al. 2022, arXiv:2102.02079).

    A class is shared by the clients that have it. One that no client has is left out, and the log
    says so; with fewer clients than classes that is likely.

    Parameters
    ----------
    classes_per_client : int
        Classes that each client has, from 1.
    assignment : str
        ``"first-deterministic"``: client i has class i (modulo their number), the others at random;
        ``"deterministic"``: classes i, i + 1, ...; ``"random"``.

    Raises
    ------
    ConfigError
        When a setting is out of range.
    """

    classes_per_client: int = 2
    assignment: str = "first-deterministic"

    def __post_init__(self) -> None:
        check_int("partition.classes_per_client", self.classes_per_client, at_least=1)
        if self.assignment not in ASSIGNMENTS:
            raise ConfigError(
                f"partition.assignment={self.assignment} must be one of {', '.join(ASSIGNMENTS)}"
            )

    def __call__(self, samples: Samples, *, num_clients: int, seed: int) -> list[Indices]:
        """Return each client's sorted indices; see :class:`~flwr_gan.data.partition.base.Split`."""
        check_num_clients(samples, num_clients)
        classes = np.unique(samples.y_N)
        if self.classes_per_client > len(classes):
            raise PartitionError(
                f"partition.classes_per_client={self.classes_per_client} is more than the "
                f"{len(classes)} classes of the training samples; lower it"
            )
        from flwr_datasets.partitioner import PathologicalPartitioner

        partitioner = PathologicalPartitioner(
            num_clients,
            LABEL_COLUMN,
            self.classes_per_client,
            class_assignment_mode=self.assignment,
            shuffle=False,
            seed=derive_seed(seed, "pathological"),
        )
        try:
            parts = list(deal_with(partitioner, samples.y_N, seed=seed))
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
