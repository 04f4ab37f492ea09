"""Samples sorted by class are cut into shards, and each client holds some of them."""

from dataclasses import dataclass

from flwr_gan.data.dataset import Samples
from flwr_gan.data.partition.base import (
    LABEL_COLUMN,
    Indices,
    check_num_clients,
    deal_with,
)
from flwr_gan.data.settings import check_int
from flwr_gan.errors import PartitionError
from flwr_gan.seeding import derive_seed


@dataclass(frozen=True, kw_only=True)
class ShardSplit:
    """Deal out shards of samples of one class, or few (McMahan et al. 2017, arXiv:1602.05629).

    Shards are equally large, except the last. All samples are dealt out; where they do not divide,
    the first clients hold a shard more.

    Parameters
    ----------
    shards_per_client : int
        Shards that each client holds at least, from 1.

    Raises
    ------
    ConfigError
        When a setting is out of range.
    """

    shards_per_client: int = 2

    def __post_init__(self) -> None:
        check_int("partition.shards_per_client", self.shards_per_client, at_least=1)

    def __call__(self, samples: Samples, *, num_clients: int, seed: int) -> list[Indices]:
        """Return each client's sorted indices; see :class:`~flwr_gan.data.partition.base.Split`."""
        check_num_clients(samples, num_clients)
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
            LABEL_COLUMN,
            shard_size=shard_size,
            keep_incomplete_shard=True,
            shuffle=False,
            seed=derive_seed(seed, "shard"),
        )
        return list(deal_with(partitioner, samples.y_N, seed=seed))
