"""Each class is shared out in proportions drawn from a Dirichlet distribution."""

from dataclasses import dataclass

from flwr_gan.data.dataset import Samples
from flwr_gan.data.partition.base import (
    LABEL_COLUMN,
    Indices,
    check_num_clients,
    deal_with,
)
from flwr_gan.data.settings import check_int, check_positive
from flwr_gan.errors import PartitionError
from flwr_gan.seeding import derive_seed

_ATTEMPTS = 25


@dataclass(frozen=True, kw_only=True)
class DirichletSplit:
    """Share out each class in random proportions (Yurochkin et al. 2019, arXiv:1905.12022).

    Parameters
    ----------
    alpha : float
        Concentration, above 0: with small values clients hold few classes each, with large ones
        they are all alike.
    min_partition_size : int, optional
        Samples that each client holds at least, from 1; proportions are drawn anew, up to 25 times,
        until they do. Without it a twentieth of the average, from 1 to 10.

    Raises
    ------
    ConfigError
        When a setting is out of range.
    """

    alpha: float = 0.5
    min_partition_size: int | None = None

    def __post_init__(self) -> None:
        check_positive("partition.alpha", self.alpha)
        if self.min_partition_size is not None:
            check_int("partition.min_partition_size", self.min_partition_size, at_least=1)

    def __call__(self, samples: Samples, *, num_clients: int, seed: int) -> list[Indices]:
        """Return each client's sorted indices; see :class:`~flwr_gan.data.partition.base.Split`."""
        check_num_clients(samples, num_clients)
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
                LABEL_COLUMN,
                float(self.alpha),
                # Checked below: the partitioner itself warns at each attempt and gives up early.
                min_partition_size=0,
                shuffle=False,
                seed=derive_seed(seed, "dirichlet", round=attempt),
            )
            parts = []
            for indices in deal_with(partitioner, samples.y_N, seed=seed):
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
