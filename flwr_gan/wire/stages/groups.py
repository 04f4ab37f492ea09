"""Which weights share side numbers, such as a scale: the network's, a layer's, a channel's.

A group is numbered by the first axis of its array where that is divided, else it has number 0.
"""

import math
from typing import ClassVar

import numpy as np

from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.stage import Places, Positions
from flwr_gan.wire.stages.settings import one_of, unknown_settings, unreadable
from flwr_gan.wire.stages.stage import Stage, check_scales

GRANULARITIES = ("layer", "channel", "network")
"""Names; a name's place is its number on the wire (permanent)."""

_SYNONYMS = {"tensor": "layer"}


class GroupedStage(Stage):
    """A stage that keeps the same numbers for each group of weights, a scale first.

    Parameters
    ----------
    words : str
        Settings in the spec before the granularity.
    granularity : {"layer", "channel", "network"}
        One group for the array, one for each index of its first axis, or one for all arrays.
    parameter, lowest, highest : int
        As for every stage.
    """

    numbers: ClassVar[int] = 1
    least_axes: ClassVar[int] = 2
    """Arrays of fewer axes, such as biases, are one group: a scale for each single weight would
    save nothing."""

    def __init__(
        self, *words: str, granularity: str, parameter: int, lowest: int, highest: int
    ) -> None:
        super().__init__(*words, granularity, parameter=parameter, lowest=lowest, highest=highest)
        self.granularity = granularity
        self.shared = granularity == "network"

    def side_count(self, shape: tuple[int, ...]) -> int:
        """Return how many side numbers are kept for an array of this shape."""
        return self.numbers * self.group_count(shape)

    def check_side(self, side: Array) -> None:
        """Raise ``PayloadError`` if a scale is negative or not finite."""
        check_scales(side, self.spec)

    def group_count(self, shape: tuple[int, ...]) -> int:
        """Return the number of groups of an array of this shape."""
        if self.granularity == "channel" and len(shape) >= self.least_axes:
            return shape[0] if all(shape) else 0
        return 1


def group_of(places: Places, count: int) -> Positions:
    """Return the group of each place in an array that has so many groups."""
    if count == 1:
        return np.zeros(places.count, np.int64)
    groups: Positions = places.positions // max(math.prod(places.shape[1:]), 1)
    return groups


def of_each(numbers: Array, places: Places) -> Array:
    """Return the number of each place's group as float64; one number if there is one group."""
    wide: Array = numbers.astype(np.float64)
    return wide if len(wide) == 1 else wide[group_of(places, len(wide))]


def read_granularity(stage: str, arguments: tuple[str, ...], *, allowed: str) -> str:
    """Return the granularity that the last words of a stage's spec name, by default ``layer``.

    ``tensor`` is another word for ``layer``: what travels of a layer is one array, its tensor.
    """
    if len(arguments) > 1:
        raise unreadable(stage, arguments, allowed)
    word = arguments[0] if arguments else GRANULARITIES[0]
    return one_of(f"{stage} granularity", _SYNONYMS.get(word, word), GRANULARITIES)


def granularity_of(stage: str, parameter: int) -> str:
    """Return the granularity with a number in a payload, or raise ``PayloadError``."""
    if parameter >= len(GRANULARITIES):
        raise unknown_settings(stage)
    return GRANULARITIES[parameter]
