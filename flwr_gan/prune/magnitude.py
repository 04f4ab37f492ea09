"""Which weights go: the smallest ones, counted exactly."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from flwr_gan.errors import LayerCollapseError, TrainingError

Mask = dict[str, NDArray[np.bool_]]


def prune_smallest(
    weights: Mapping[str, NDArray[np.floating]],
    mask: Mapping[str, NDArray[np.bool_]],
    *,
    pruned: int,
    min_kept_per_layer: int = 0,
) -> Mask:
    """Return a mask inside ``mask`` under which exactly ``pruned`` weights are pruned in all.

    Of the weights that ``mask`` keeps, those of the smallest magnitude across all given layers
    go; among equal magnitudes the first in order of layers and, inside a layer, in row-major
    order.

    Parameters
    ----------
    weights : mapping from str to ndarray
        Trained weights of the layers that are ranked together.
    mask : mapping from str to bool ndarray
        True where a weight is kept so far.
    pruned : int
        Total number of pruned weights in the result, those of ``mask`` included.
    min_kept_per_layer : int
        The largest weights of each layer, this many (or all, in a smaller layer), stay.

    Raises
    ------
    LayerCollapseError
        If a layer loses its last weight, or if the floor leaves too few weights to prune.
    TrainingError
        If a weight that is kept so far is not finite.
    """
    kept = np.concatenate([mask[name].ravel() for name in mask])
    size = np.concatenate([np.abs(weights[name]).ravel() for name in mask])
    for name in mask:
        if not np.isfinite(weights[name][mask[name]]).all():
            raise TrainingError(f"weights of layer {name!r} are not finite: they cannot be pruned")
    free = kept & ~_largest(weights, mask, min_kept_per_layer)
    missing = pruned - int(np.count_nonzero(~kept))
    candidates = np.flatnonzero(free)
    if missing > len(candidates):
        raise LayerCollapseError(
            f"{missing} more weights are to be pruned and {len(candidates)} may be: "
            f"lower lottery.rate, lottery.iterations or lottery.min_kept_per_layer"
        )
    order = np.argsort(size[candidates], kind="stable")
    kept[candidates[order[: max(0, missing)]]] = False
    result = _split(kept, mask)
    for name, layer in result.items():
        if layer.size and not layer.any():
            raise LayerCollapseError(
                f"layer {name!r} would lose all of its {layer.size} weights: lower lottery.rate "
                f"or lottery.iterations, or set lottery.min_kept_per_layer"
            )
    return result


def _largest(
    weights: Mapping[str, NDArray[np.floating]],
    mask: Mapping[str, NDArray[np.bool_]],
    count: int,
) -> NDArray[np.bool_]:
    """Mark the ``count`` largest kept weights of each layer, flat over all layers."""
    marks = []
    for name, layer in mask.items():
        mark = np.zeros(layer.size, dtype=bool)
        kept = np.flatnonzero(layer)
        order = np.argsort(np.abs(weights[name]).ravel()[kept], kind="stable")
        mark[kept[order[max(0, len(kept) - count) :]]] = True
        marks.append(mark)
    return np.concatenate(marks)


def _split(flat: NDArray[np.bool_], like: Mapping[str, NDArray[np.bool_]]) -> Mask:
    ends = np.cumsum([layer.size for layer in like.values()])
    parts = np.split(flat, ends[:-1])
    return {name: p.reshape(like[name].shape) for name, p in zip(like, parts, strict=True)}
