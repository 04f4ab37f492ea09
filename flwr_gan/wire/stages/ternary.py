"""Ternary and binary weights: -1, 0 or 1 times a scale with the least squared error.

s scale; k survivors of a group.
"""

from typing import Any

import numpy as np

from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.places import Places
from flwr_gan.wire.codecs.stage import Stage, finite_extremes
from flwr_gan.wire.stages.groups import GroupedStage, group_of, of_each


class TernaryStage(GroupedStage):
    """``w = q * s`` with ``q`` of -1, 0 and 1. Lossy.

    If the m largest magnitudes become s and all others 0, the best s is their mean, and the best m
    maximises ``(sum of the m largest)**2 / m``; a weight is 0 if ``|w| <= s / 2``. The error of a
    weight is at most the larger of ``s / 2`` and ``max|w| - s``. A survivor that becomes 0 stays in
    the mask, as the tiny ``s * 2**-24``.
    """

    name = "ternary"
    wire_id = 4
    fine = False

    allowed = "allowed: ternary, ternary:layer, ternary:channel, ternary:network"

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.set_codes(-1, 1)
        self.zero_code = 2

    def measure(self, values: Array, places: Places) -> Array:
        """Return the best scale of each group; 0 where nothing survives."""
        finite_extremes(values, self.spec)
        count = self.group_count(places.shape)
        scales = np.zeros(count, np.float64)
        if not len(values):
            return scales.astype(np.float32)
        magnitudes = np.abs(values.astype(np.float64))
        group = group_of(places, count)
        order = np.lexsort((-magnitudes, group))
        group, totals = group[order], np.cumsum(magnitudes[order])
        starts = np.flatnonzero(np.diff(group, prepend=-1))
        lengths = np.diff(starts, append=len(group))
        before = np.append(0.0, totals)[starts]
        totals -= np.repeat(before, lengths)
        members = np.arange(len(group)) - np.repeat(starts, lengths) + 1
        gains = totals * (totals / members)
        best = np.repeat(np.maximum.reduceat(gains, starts), lengths)
        # The first of several equally good m.
        chosen = np.flatnonzero(gains == best)[::-1]
        scales[group[chosen]] = totals[chosen] / members[chosen]
        return scales.astype(np.float32)

    def coded(self, values: Array, places: Places, side: Array) -> Array:
        """Return -1, 0 or 1 as int8."""
        wide = values.astype(np.float64)
        large = np.abs(wide) > of_each(side, places) / 2
        return (np.sign(wide) * large).astype(np.int8)


class BinaryStage(GroupedStage):
    """``w = s`` or ``-s``, where s is the mean of ``|w|``: the least squared error for two values.

    Lossy: the error of a weight is ``abs(|w| - s)``, so at most the larger of s and ``max|w| - s``.
    A survivor takes one bit. Survey of GAN compression, on ApGAN: the sign, and the average weight
    as scale factor.
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
        finite_extremes(values, self.spec)
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

    def scales(self, places: Places, side: Array) -> Array:
        """Return 0: a weight that would be zero becomes 2**-149 for every scale."""
        return Stage.scales(self, places, side)
