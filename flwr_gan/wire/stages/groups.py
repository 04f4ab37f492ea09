"""Groups of weights that share side numbers, such as a scale: network, layer or channel.

In an array divided by its first axis, the group's number is that index; otherwise it is 0.
"""

import math
from typing import Any, ClassVar

import numpy as np

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.places import Places, Positions
from flwr_gan.wire.codecs.settings import OneOf, Setting
from flwr_gan.wire.codecs.stage import Stage

GRANULARITIES = ("layer", "channel", "network")
"""Names; a name's index is its wire number (permanent)."""

GRANULARITY = OneOf("granularity", GRANULARITIES, "layer", other_words={"tensor": "layer"})
"""Synonyms: a layer is sent as one array, its tensor."""


class GroupedStage(Stage):
    """A stage that keeps the same numbers for each group of weights, a scale first.

    ``granularity`` makes a group of the array, of each index of its first axis, or of all arrays.
    """

    numbers: ClassVar[int] = 1
    least_axes: ClassVar[int] = 2
    """Arrays of fewer axes, such as biases, are one group: a scale for each single weight would
    save nothing."""
    settings: tuple[Setting, ...] = (GRANULARITY,)
    granularity: str

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.shared = self.granularity == "network"

    def side_count(self, shape: tuple[int, ...]) -> int:
        """Return the number of side numbers of an array of this shape."""
        return self.numbers * self.group_count(shape)

    def check_side(self, side: Array) -> None:
        """Raise ``PayloadError`` if a scale is negative or not finite."""
        # The minimum of numbers with a NaN is NaN, which fails both comparisons.
        if len(side) and not (side.min() >= 0 and side.max() < np.inf):
            raise PayloadError(f"{self.spec}: a scale is negative or not finite")

    def decoded(self, codes: Array, places: Places, side: Array) -> Array:
        """Return ``q * s`` in double precision."""
        exact: Array = codes * self.scales(places, side)
        return exact

    def scales(self, places: Places, side: Array) -> Array:
        """Return the scale of each place, or the only one."""
        return of_each(side, places)

    def group_count(self, shape: tuple[int, ...]) -> int:
        """Return the number of groups of an array of this shape."""
        if self.granularity == "channel" and len(shape) >= self.least_axes:
            return shape[0] if all(shape) else 0
        return 1


def group_of(places: Places, count: int) -> Positions:
    """Return the group of each place in an array with this number of groups."""
    if count == 1:
        return np.zeros(places.count, np.int64)
    groups: Positions = places.positions // max(math.prod(places.shape[1:]), 1)
    return groups


def of_each(numbers: Array, places: Places) -> Array:
    """Return the number of each place's group as float64; one number if there is one group."""
    wide: Array = numbers.astype(np.float64)
    return wide if len(wide) == 1 else wide[group_of(places, len(wide))]
