"""Which weights share side numbers, such as a scale: the network's, a layer's, a channel's.

A group is numbered by the first axis of its array where that is divided, else it has number 0.
"""

import math

import numpy as np

from flwr_gan.codecs.arrays import Array
from flwr_gan.codecs.registry import unknown_word
from flwr_gan.codecs.stage import Positions

GRANULARITIES = ("layer", "channel", "network")
"""Names; a name's place is its number on the wire (permanent)."""


def read_granularity(stage: str, arguments: tuple[str, ...]) -> str:
    """Return the granularity that the last word of a stage's spec names, by default ``layer``."""
    granularity = arguments[0] if arguments else GRANULARITIES[0]
    if granularity not in GRANULARITIES:
        raise unknown_word(f"{stage} granularity", granularity, GRANULARITIES)
    return granularity


def group_count(granularity: str, shape: tuple[int, ...], *, least_axes: int = 2) -> int:
    """Return the number of groups of an array of this shape.

    Arrays of fewer than ``least_axes`` axes, such as biases, are one group: a side number for each
    single weight would save nothing.
    """
    if granularity == "channel" and len(shape) >= least_axes:
        return shape[0] if all(shape) else 0
    return 1


def group_of(positions: Positions, shape: tuple[int, ...], count: int) -> Positions:
    """Return the group of each position of a flat array, which has so many groups."""
    if count == 1:
        return np.zeros(len(positions), np.int64)
    groups: Positions = positions // max(math.prod(shape[1:]), 1)
    return groups


def of_each(numbers: Array, positions: Positions, shape: tuple[int, ...]) -> Array:
    """Return the number of each position's group as float64; one number if there is one group."""
    wide: Array = numbers.astype(np.float64)
    return wide if len(wide) == 1 else wide[group_of(positions, shape, len(wide))]
