"""Who holds what: splits of the training samples among clients, one file a kind."""

from flwr_gan.data.partition.base import Split, class_counts
from flwr_gan.data.partition.dirichlet import DirichletSplit
from flwr_gan.data.partition.iid import IidSplit
from flwr_gan.data.partition.pathological import PathologicalSplit
from flwr_gan.data.partition.shard import ShardSplit
from flwr_gan.data.partition.writer import WriterSplit

__all__ = [
    "DirichletSplit",
    "IidSplit",
    "PathologicalSplit",
    "ShardSplit",
    "Split",
    "WriterSplit",
    "class_counts",
]
