"""The wire for any Flower app: a client mod, a server grid, and two strategy wrappers."""

from flwr_gan.flower.comparison import CodecComparison
from flwr_gan.flower.compressed_grid import CompressedGrid
from flwr_gan.flower.message_strategy import CompressedMessageStrategy
from flwr_gan.flower.mods import CompressionMod, compression_mod
from flwr_gan.flower.protocol import (
    Asynchronous,
    CodedReplies,
    Listener,
    ReplyRules,
    TakesCodedReplies,
)
from flwr_gan.flower.pruned import KeepPruned, KeepPrunedMessages, keep_pruned_mod
from flwr_gan.flower.strategy import CodedFitRes, CompressedStrategy
from flwr_gan.flower.subsampled import Subsampled, SubsampledMod

__all__ = [
    "Asynchronous",
    "CodecComparison",
    "CodedFitRes",
    "CodedReplies",
    "CompressedGrid",
    "CompressedMessageStrategy",
    "CompressedStrategy",
    "CompressionMod",
    "KeepPruned",
    "KeepPrunedMessages",
    "Listener",
    "ReplyRules",
    "Subsampled",
    "SubsampledMod",
    "TakesCodedReplies",
    "compression_mod",
    "keep_pruned_mod",
]
