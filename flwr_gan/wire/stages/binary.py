"""Binary weights: the sign of each weight times the mean magnitude of its group.

s scale (survey of GAN compression, on ApGAN: sign bit, and the average weight as scale factor).
"""

from typing import Any

import numpy as np

from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.stage import Places
from flwr_gan.wire.stages.groups import GroupedStage, group_of, of_each
from flwr_gan.wire.stages.stage import finite_only


class BinaryStage(GroupedStage):
    """``w = s`` or ``-s``, where s is the mean of ``|w|``: the least squared error for two weights.

    Lossy: the error of a weight is ``abs(|w| - s)``, so at most the larger of s and ``max|w| - s``.
    A survivor takes one bit.
    """

    name = "binary"
    wire_id = 5
    fine = False
    keeps_still = False

    allowed = "allowed: binary, binary:layer, binary:channel, binary:network"

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.set_codes(-1, 0)
        self.zero_code = 1

    def measure(self, values: Array, places: Places) -> Array:
        """Return the mean magnitude of each group; 0 where nothing survives."""
        finite_only(values, self.spec)
        count = self.group_count(places.shape)
        group = group_of(places, count)
        totals = np.bincount(group, np.abs(values.astype(np.float64)), count)
        means = totals / np.maximum(np.bincount(group, minlength=count), 1)
        return means.astype(np.float32)

    def coded(self, values: Array, places: Places, side: Array) -> Array:
        """Return -1 for a negative weight, else 0, as int8."""
        return -(values < 0).astype(np.int8)

    def decoded(self, codes: Array, places: Places, side: Array) -> Array:
        """Return ``s`` or ``-s``."""
        scales = of_each(side, places)
        weights: Array = np.where(codes < 0, -scales, scales)
        return weights
