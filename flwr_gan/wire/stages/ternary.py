"""Ternary weights: -1, 0 or 1 times a scale, which makes the squared error of its group least.

s scale; k survivors of a group.
"""

from typing import Any

import numpy as np

from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.stage import Places
from flwr_gan.wire.stages.groups import GroupedStage, group_of, of_each
from flwr_gan.wire.stages.stage import finite_only


class TernaryStage(GroupedStage):
    """``w = q * s`` with ``q`` of -1, 0 and 1. Lossy.

    If the m largest magnitudes become s and all others 0, the best s is their mean, and the best m
    makes ``(sum of the m largest)**2 / m`` largest; a weight is 0 if ``|w| <= s / 2``. The error of
    a weight is at most the larger of ``s / 2`` and ``max|w| - s``. A survivor that becomes 0 stays
    in the mask, as the tiny ``s * 2**-24``.
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
        finite_only(values, self.spec)
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
        # The first of equally good numbers of members.
        chosen = np.flatnonzero(gains == best)[::-1]
        scales[group[chosen]] = totals[chosen] / members[chosen]
        return scales.astype(np.float32)

    def coded(self, values: Array, places: Places, side: Array) -> Array:
        """Return -1, 0 or 1 as int8."""
        wide = values.astype(np.float64)
        large = np.abs(wide) > of_each(side, places) / 2
        return (np.sign(wide) * large).astype(np.int8)

    def decoded(self, codes: Array, places: Places, side: Array) -> Array:
        """Return ``q * s`` in double precision."""
        exact: Array = codes * of_each(side, places)
        return exact

    def scales(self, places: Places, side: Array) -> Array:
        """Return the scale of each place, or the one that there is."""
        return of_each(side, places)
