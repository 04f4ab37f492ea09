"""Lossy stages: weights to fewer or shorter numbers, with a stated error, before a codec."""

from flwr_gan.wire.stages.array_stage import ArrayStage
from flwr_gan.wire.stages.pipeline import StagedCodec
from flwr_gan.wire.stages.registry import get_stage, stage_names
from flwr_gan.wire.stages.stage import Coded, Stage

__all__ = ["ArrayStage", "Coded", "Stage", "StagedCodec", "get_stage", "stage_names"]
