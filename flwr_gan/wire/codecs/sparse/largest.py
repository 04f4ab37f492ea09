"""The largest magnitudes of some layers, exactly and in one pass.

A sample gives a lower bound for the smallest of them. Only magnitudes from that bound on are
sorted; if they are too few, the pass is repeated with a lower bound.

k number of largest magnitudes.
"""

import math
from collections.abc import Sequence

import numpy as np

from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.sparse.support import Mask, Positions
from flwr_gan.wire.codecs.sparse.values import Numbers

BLOCK = 1 << 16
"""Numbers per block, so that a block stays in the cache."""

_SAMPLE = 1 << 15
_DEVIATIONS = 4
_MAGNITUDE = np.int32(0x7FFFFFFF)
"""Without the sign, the bits of a float have the order of its magnitude and compare exactly."""


def largest(layers: Sequence[Array], *, keep: int) -> list[Mask]:
    """Return masks of the ``keep`` largest magnitudes over all float32 layers together.

    Among equal magnitudes the first in order are kept; a NaN counts as largest of all.
    """
    masks = [np.zeros(len(layer), bool) for layer in layers]
    found = largest_places(layers, keep=keep)
    for mask, places in zip(masks, found, strict=True):
        mask[places] = True
    left = keep - sum(map(len, found))
    for mask, layer in zip(masks, layers, strict=True):
        if left:
            zeros = np.flatnonzero(layer == 0)[:left]
            mask[zeros] = True
            left -= len(zeros)
    return masks


def largest_places(layers: Sequence[Numbers], *, keep: int) -> list[Positions]:
    """Return the places in each layer of the ``keep`` largest magnitudes overall, ascending.

    Zeros are never among them, so there may be fewer. Ties and NaN are as in ``largest``.
    """
    total = sum(map(len, layers))
    keep = min(keep, total)
    if not keep:
        return [np.empty(0, np.int64) for _ in layers]
    step = max(total // _SAMPLE, 1)
    sample = np.sort(np.concatenate([_magnitudes(layer[::step]) for layer in layers]))
    wanted = len(sample) * keep / total
    rank = math.ceil(wanted + _DEVIATIONS * math.sqrt(wanted)) + 1
    while True:
        least = max(int(sample[-rank]), 1) if rank <= len(sample) else 1
        found = [_reaching(layer, least) for layer in layers]
        if least == 1 or sum(len(places) for places, _ in found) >= keep:
            return _exactly(found, keep)
        rank *= 4


def _magnitudes(values: Array) -> Array:
    bits: Array = values.view(np.int32) & _MAGNITUDE
    return bits


def _reaching(layer: Numbers, least: int) -> tuple[Positions, Array]:
    """Return the places of a layer's magnitudes from a bound on, and these magnitudes."""
    parts = [(np.empty(0, np.int64), np.empty(0, np.int32))]
    for start in range(0, len(layer), BLOCK):
        bits = _magnitudes(layer[start : start + BLOCK])
        places = np.flatnonzero(bits >= least)
        parts.append((places + start, bits[places]))
    places, bits = (np.concatenate(part) for part in zip(*parts, strict=True))
    return places, bits


def _exactly(found: Sequence[tuple[Positions, Array]], keep: int) -> list[Positions]:
    """Return the places of the ``keep`` largest found, or of all if they are fewer."""
    bits = np.concatenate([part for _, part in found])
    if len(bits) <= keep:
        return [places for places, _ in found]
    threshold = np.partition(bits, len(bits) - keep)[len(bits) - keep]
    chosen = bits > threshold
    ties = np.flatnonzero(bits == threshold)
    chosen[ties[: keep - int(np.count_nonzero(chosen))]] = True
    ends = np.cumsum([len(part) for _, part in found])[:-1]
    pairs = zip(found, np.split(chosen, ends), strict=True)
    return [places[part] for (places, _), part in pairs]
