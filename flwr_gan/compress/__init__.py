"""Lossy stages: weights to fewer or shorter numbers, with a stated error, before a codec."""

from flwr_gan.compress.array_stage import ArrayStage
from flwr_gan.compress.pipeline import StagedCodec
from flwr_gan.compress.registry import get_stage, stage_names
from flwr_gan.compress.stage import Coded, Stage

__all__ = ["ArrayStage", "Coded", "Stage", "StagedCodec", "get_stage", "stage_names"]
