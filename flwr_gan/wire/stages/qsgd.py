"""QSGD: multiples of a fraction of a block's norm, rounded up or down at random.

s levels; v the numbers of a block of 512; n their number.
"""

import math
from typing import Any

import numpy as np

from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.places import Places
from flwr_gan.wire.codecs.settings import UNBIASED, Whole
from flwr_gan.wire.codecs.stage import Coded
from flwr_gan.wire.stages.blocks import BLOCK_LENGTH, BlockQuantizeStage
from flwr_gan.wire.stages.draws import content_seed, drawn

MOST_LEVELS = 127


class QsgdStage(BlockQuantizeStage):
    """``d = c q |v| / s`` with whole q from -s to s, and the norm of each 512 numbers. Lossy.

    q is ``s d / |v|`` rounded down or up at random, with probabilities that make its mean exact;
    the expected squared error is then at most ``w |v|^2`` with ``w = min(n / s^2, sqrt(n) / s)``.
    ``unbiased`` has c = 1, as in the paper, for use without error feedback, with which the error
    would grow without bound. Otherwise c is ``1 / (1 + w)``: the expected squared error is at most
    ``1 - c`` of the squares. The random numbers are computed from the numbers themselves.
    ``c |v| / s`` is rounded up to a float with two bits after the leading one. Alistarh et al.,
    "QSGD", 2017, section 3.1 and Lemma 3.1; q is coded by rANS instead of Elias's code.
    """

    name = "qsgd"
    wire_id = 14
    fine = False

    settings = (Whole("levels", 1, MOST_LEVELS), UNBIASED)
    allowed = "allowed: qsgd:N or qsgd:N:unbiased with N from 1 to 127, such as qsgd:4"
    levels: int
    is_unbiased: bool

    def __init__(self, **values: Any) -> None:
        super(BlockQuantizeStage, self).__init__(**values)
        self.set_largest(self.levels)
        self.contractive = not self.is_unbiased
        self.unbiased = None if self.is_unbiased else f"{self.spec}:unbiased"
        levels = self.levels
        variance = min(BLOCK_LENGTH / levels**2, math.sqrt(BLOCK_LENGTH) / levels)
        self.shrinks = 1.0 if self.is_unbiased else 1 / (1 + variance)

    def reach(self, blocks: Array) -> Array:
        """Return c times the norm of each block, float64."""
        wide = blocks.astype(np.float64)
        norms: Array = self.shrinks * np.sqrt(np.einsum("ij,ij->i", wide, wide))
        return norms

    def coded(self, values: Array, places: Places, side: Array) -> Array:
        """Return q as int8."""
        steps = self.scales(places, side) / self.shrinks
        with np.errstate(divide="ignore", invalid="ignore"):
            levels = np.nan_to_num(np.abs(values.astype(np.float64)) / steps, nan=0.0)
        chances = drawn(len(values), content_seed(values)) * 2.0**-64
        codes = np.minimum(np.floor(levels + chances), self.largest)
        return np.copysign(codes, values).astype(np.int8)

    def error_bound(self, coded: Coded) -> Array:
        """Return the largest distance to ``c q |v| / s`` of a number within one level of q."""
        steps = self.scales(coded.places, coded.side) / self.shrinks
        room = steps * (1 + (1 - self.shrinks) * np.abs(coded.codes, dtype=np.float64))
        bound: Array = room + super().error_bound(coded)
        return bound
