"""Every client holds a random sample of the same size, give or take one."""

from dataclasses import dataclass

from flwr_gan.data.dataset import Samples
from flwr_gan.data.partition.base import Indices, check_num_clients, deal_with


@dataclass(frozen=True, kw_only=True)
class IidSplit:
    """Deal samples at random, equally many to each client."""

    def __call__(self, samples: Samples, *, num_clients: int, seed: int) -> list[Indices]:
        """Return each client's sorted indices; see :class:`~flwr_gan.data.partition.base.Split`."""
        check_num_clients(samples, num_clients)
        from flwr_datasets.partitioner import IidPartitioner

        return list(deal_with(IidPartitioner(num_clients), samples.y_N, seed=seed))
