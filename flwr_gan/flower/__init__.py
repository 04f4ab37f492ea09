"""Flower's side: the client, the mod, the strategy wrappers and the in-process grid."""

from flwr_gan.flower.message_strategy import CompressedMessageStrategy
from flwr_gan.flower.mods import compression_mod
from flwr_gan.flower.pruned import KeepPruned, KeepPrunedMessages, keep_pruned_mod
from flwr_gan.flower.strategy import CodedFitRes, CompressedStrategy

__all__ = [
    "CodedFitRes",
    "CompressedMessageStrategy",
    "CompressedStrategy",
    "KeepPruned",
    "KeepPrunedMessages",
    "compression_mod",
    "keep_pruned_mod",
]
