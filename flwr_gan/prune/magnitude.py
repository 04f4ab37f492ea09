"""Magnitude pruning: the smallest weights, in an exact number."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from flwr_gan.errors import LayerCollapseError, TrainingError
from flwr_gan.wire.codecs.sparse.largest import largest

Mask = dict[str, NDArray[np.bool_]]

LEAST_AXES = 2
"""Arrays of fewer axes (biases) are neither pruned nor counted, as in the stage ``prune``."""


def kept_weights(arrays: Mapping[str, NDArray[np.float32]]) -> Mask:
    """Return the mask of a pruned network: True where a weight is not zero, and for all biases."""
    return {name: (array != 0) | (array.ndim < LEAST_AXES) for name, array in arrays.items()}


def prunable(arrays: Mapping[str, NDArray[np.generic]]) -> list[str]:
    """Return the names of the arrays whose weights are pruned and counted."""
    return [name for name, array in arrays.items() if array.ndim >= LEAST_AXES]


def prune(
    weights: Mapping[str, NDArray[np.float32]],
    mask: Mapping[str, NDArray[np.bool_]],
    *,
    pruned: Callable[[int], int],
    scope: str,
    min_kept_per_layer: int,
) -> Mask:
    """Return a submask of ``mask`` that prunes a given number of weights.

    Biases stay. ``pruned`` maps n weights to the number of pruned ones: n counts all layers
    together, or each layer separately with the scope "local", where ``min_kept_per_layer`` may
    keep more.
    """
    floor = min_kept_per_layer
    layers = {name: mask[name] for name in prunable(mask)}
    found: Mask = {name: layer.copy() for name, layer in mask.items()}
    if scope == "global":
        count = pruned(sum(layer.size for layer in layers.values()))
        return found | prune_smallest(weights, layers, pruned=count, min_kept_per_layer=floor)
    for name, layer in layers.items():
        count = min(pruned(layer.size), layer.size - min(floor, layer.size))
        found |= prune_smallest(weights, {name: layer}, pruned=count)
    return found


def prune_smallest(
    weights: Mapping[str, NDArray[np.float32]],
    mask: Mapping[str, NDArray[np.bool_]],
    *,
    pruned: int,
    min_kept_per_layer: int = 0,
) -> Mask:
    """Return a submask of ``mask`` that prunes exactly ``pruned`` weights in total.

    Of the weights kept by ``mask``, those with the smallest magnitude across all given layers are
    pruned; of equal magnitudes the last in the order of layers and, inside a layer, in row-major
    order. The codec ``sparse``, which derives masks from such weights, has the same rule. ``mask``
    is True for kept weights, and ``pruned`` includes weights pruned by ``mask``. The largest
    ``min_kept_per_layer`` weights of each layer stay, or all of a smaller layer. Raises
    LayerCollapseError if a layer loses its last weight or the floor leaves too few to prune,
    TrainingError if a kept weight is not finite.
    """
    sizes = {name: np.abs(weights[name]).ravel() for name in mask}
    for name, layer in mask.items():
        if not np.isfinite(sizes[name][layer.ravel()]).all():
            raise TrainingError(f"weights of layer {name!r} are not finite: they cannot be pruned")
    kept = np.concatenate([layer.ravel() for layer in mask.values()])
    fixed = [_largest(sizes[n], layer.ravel(), min_kept_per_layer) for n, layer in mask.items()]
    candidates = np.flatnonzero(kept & ~np.concatenate(fixed))
    missing = max(0, pruned - int(np.count_nonzero(~kept)))
    if missing > len(candidates):
        raise LayerCollapseError(
            f"{missing} more weights are to be pruned and {len(candidates)} may be: prune less, or "
            "lower min_kept_per_layer"
        )
    free = np.concatenate(list(sizes.values()))[candidates]
    kept[candidates] = largest([free], keep=len(free) - missing)[0]
    ends = np.cumsum([layer.size for layer in mask.values()])[:-1]
    parts = zip(mask.items(), np.split(kept, ends), strict=True)
    result = {name: part.reshape(layer.shape) for (name, layer), part in parts}
    for name, layer in result.items():
        if layer.size and not layer.any():
            raise LayerCollapseError(
                f"layer {name!r} would lose all of its {layer.size} weights: prune less, or set "
                "min_kept_per_layer"
            )
    return result


def _largest(size: NDArray[np.float32], kept: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    """Mark the ``count`` largest kept weights of a flat layer."""
    marked = np.zeros(len(size), dtype=bool)
    places = np.flatnonzero(kept)
    marked[places] = largest([size[places]], keep=min(count, len(places)))[0]
    return marked
