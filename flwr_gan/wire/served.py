"""Rules for the arrays that a lossy codec serves, that is, may change.

All others are coded exactly, by the same codec without its stages:

- integers, bools and complex numbers;
- arrays of fewer than 2 axes, such as biases, and the means and variances of normalisation;
- arrays of fewer than 64 values;
- arrays with a value that is not finite, such as a causal mask of ``-inf``;
- arrays of at most 16 different values besides zero, each occurring at least 4 times on average:
  codes, switches, weights on a coarse grid. Exception: arrays that the stage does not change, such
  as ternary weights for ``ternary``, are served, because that is shorter;
- arrays that a stage refuses, such as those with values beyond float16 for ``cast:fp16``.

``lossy="all"`` serves every float array that is finite and not refused, for experiments. An array
of only zeros counts as served, whatever its shape, because no stage changes it.
"""

import math
from collections.abc import Callable
from typing import Literal, get_args

import numpy as np

from flwr_gan.errors import CodecError
from flwr_gan.wire.codecs.arrays import Array

Lossy = Literal["default", "all"]

LEAST_AXES = 2
LEAST_VALUES = 64
MOST_DISTINCT = 16
LEAST_REPEATS = 4

_SAMPLE = 1 << 10


def check_lossy(lossy: str) -> None:
    """Raise ``CodecError`` for an unknown rule."""
    if lossy not in get_args(Lossy):
        raise CodecError(f"lossy={lossy!r} is unknown; allowed: {', '.join(get_args(Lossy))}")


def is_served(
    single: Array, reach: tuple[float, float], *, lossy: Lossy, is_kept: Callable[[Array], bool]
) -> bool:
    """Return True if a lossy codec may change these weights, float32, of one array.

    With ``lossy="all"`` every finite array is served. ``reach`` are their ``extremes``. ``is_kept``
    returns True if the stage changes none of the weights; it is called for few arrays.
    """
    lowest, highest = reach
    if lowest == highest == 0:
        return True
    if not (math.isfinite(lowest) and math.isfinite(highest)):
        return False
    if lossy == "all":
        return True
    wide_enough = single.ndim >= LEAST_AXES and single.size >= LEAST_VALUES
    return wide_enough and (not has_few_values(single) or is_kept(single))


def has_few_values(single: Array) -> bool:
    """Return True if only few values besides zero occur, each repeatedly."""
    flat = single.reshape(-1)
    sample = flat[:: max(1, len(flat) // _SAMPLE)]
    if len(np.unique(sample[sample != 0])) > MOST_DISTINCT:
        return False
    survivors = flat[flat != 0]
    distinct = len(np.unique(survivors))
    return distinct <= MOST_DISTINCT and len(survivors) >= LEAST_REPEATS * distinct
