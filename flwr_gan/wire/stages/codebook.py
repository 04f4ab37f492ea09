"""A codebook: each weight becomes the nearest of K centroids, found by k-means.

K centroids; n weights of a group, k of them survivors.
"""

import math
from typing import Any

import numpy as np

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.places import Places
from flwr_gan.wire.codecs.scaling import SMALLEST
from flwr_gan.wire.codecs.settings import OneOf, Whole
from flwr_gan.wire.codecs.stage import FINE_BITS, Stage, finite_extremes

LEAST, MOST = 2, 256
SCOPES = ("layer", "network")
_MOST_STEPS = 300


class CodebookStage(Stage):
    """``w = c[i]``: K ascending float32 centroids c, and one index i per survivor.

    Lossy. Lloyd's algorithm in one dimension, on the sorted survivors, starts from centroids spread
    evenly over the range and from evenly spread quantiles, and runs until no weight changes its
    centroid (or 300 steps); the result with less squared error is taken. There is no randomness, so
    the same weights give the same codebook. The error of a weight between two centroids is at most
    half of their distance; beyond the outer centroids, it is the distance to them. An array of n
    weights has min(K, n) centroids. A centroid of zero becomes 2**-149.
    """

    name = "codebook"
    wire_id = 6
    keeps_still = False

    settings = (
        Whole("size", LEAST, MOST, minus=1, fault="is no size"),
        OneOf("scope", SCOPES, "layer"),
    )
    allowed = (
        f"allowed: codebook:K[:SCOPE] with K from {LEAST} to {MOST} and SCOPE layer or network, "
        "such as codebook:16:layer"
    )
    size: int
    scope: str

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        # The number of centroids of an array is checked when its codes are decoded.
        self.set_codes(-(self.size // 2), 127)
        self.fine = self.size >= 1 << FINE_BITS
        self.shared = self.scope == "network"

    def side_count(self, shape: tuple[int, ...]) -> int:
        """Return the number of centroids."""
        return min(self.size, math.prod(shape))

    def check_side(self, side: Array) -> None:
        """Raise ``PayloadError`` unless the centroids are finite, ascending and not zero."""
        if not (np.isfinite(side).all() and (np.diff(side) >= 0).all() and side.all()):
            raise PayloadError(f"{self.spec}: a centroid is zero, not finite or out of order")

    def measure(self, values: Array, places: Places) -> Array:
        """Return the centroids; the last is repeated if there are fewer distinct weights."""
        finite_extremes(values, self.spec)
        count = self.side_count(places.shape)
        if not len(values):
            return np.ones(count, np.float32)
        ordered = np.sort(values).astype(np.float64)
        kinds = np.unique(ordered)
        if len(kinds) <= count:
            found = kinds
        else:
            even = np.linspace(kinds[0], kinds[-1], count)
            quantiles = ordered[(2 * np.arange(count) + 1) * len(ordered) // (2 * count)]
            tried = [_lloyd(ordered, start) for start in (even, quantiles)]
            found = min(tried, key=lambda centroids: _squares(ordered, centroids))
        padded = np.append(found, np.full(count - len(found), found[-1])).astype(np.float32)
        padded[padded == 0] = SMALLEST
        return padded

    def coded(self, values: Array, places: Places, side: Array) -> Array:
        """Return the index of the nearest centroid (of two, the lower) minus ``K // 2``, int8."""
        limits = _limits(side.astype(np.float64))
        index = np.searchsorted(limits, values.astype(np.float64))
        return (index + self.lowest).astype(np.int8)

    def decoded(self, codes: Array, places: Places, side: Array) -> Array:
        """Return the centroids of these indices."""
        index = codes.astype(np.int16) - self.lowest
        if len(index) and index.max() >= len(side):
            raise PayloadError(f"{self.spec}: an index has no centroid")
        weights: Array = side[index].astype(np.float32, copy=False)
        return weights


def _limits(centroids: Array) -> Array:
    """Return the upper bounds of the cells of all centroids but the last."""
    return centroids[:-1] / 2 + centroids[1:] / 2


def _lloyd(ordered: Array, centroids: Array) -> Array:
    totals = np.append(0.0, np.cumsum(ordered))
    before = None
    for _ in range(_MOST_STEPS):
        cuts = np.searchsorted(ordered, _limits(centroids), side="right")
        if before is not None and np.array_equal(cuts, before):
            break
        before = cuts
        starts, ends = np.append(0, cuts), np.append(cuts, len(ordered))
        taken = ends > starts
        means = (totals[ends] - totals[starts]) / np.maximum(ends - starts, 1)
        # A mean lies within the range of its members, despite rounding of large sums.
        first = ordered[np.minimum(starts, len(ordered) - 1)]
        last = ordered[np.maximum(ends - 1, 0)]
        centroids = np.sort(
            np.where(taken, np.clip(means, first, np.maximum(first, last)), centroids)
        )
    return centroids


def _squares(ordered: Array, centroids: Array) -> float:
    errors = ordered - centroids[np.searchsorted(_limits(centroids), ordered)]
    return float(errors @ errors)
