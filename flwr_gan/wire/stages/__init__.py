"""Lossy stages before a codec: fewer or shorter numbers, with a stated error."""

from flwr_gan.wire.codecs.settings import Flag, Fraction, OneOf, Whole
from flwr_gan.wire.codecs.stage import Coded, Stage
from flwr_gan.wire.stages.array_stage import ArrayStage, KeepingStage
from flwr_gan.wire.stages.pipeline import StagedCodec
from flwr_gan.wire.stages.registry import get_stage, stage_names

__all__ = [
    "ArrayStage",
    "Coded",
    "Flag",
    "Fraction",
    "KeepingStage",
    "OneOf",
    "Stage",
    "StagedCodec",
    "Whole",
    "get_stage",
    "stage_names",
]
