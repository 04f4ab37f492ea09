"""Lossy stages: weights to short codes, with a stated error, before a codec takes over."""

from flwr_gan.compress.pipeline import StagedCodec
from flwr_gan.compress.stage import Coded, Stage, get_stage, stage_names

__all__ = ["Coded", "Stage", "StagedCodec", "get_stage", "stage_names"]
