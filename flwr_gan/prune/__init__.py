"""Lottery tickets (paper 000, Alg. 2), which need numpy only, and trained masks (paper 003)."""

from flwr_gan.prune.pruner import LotteryConfig, LotteryPruner, Scope
from flwr_gan.prune.schedule import pruned_count, pruned_fraction
from flwr_gan.prune.ticket import TicketLevel, find_ticket

__all__ = [
    "LotteryConfig",
    "LotteryPruner",
    "Scope",
    "TicketLevel",
    "find_ticket",
    "pruned_count",
    "pruned_fraction",
]
