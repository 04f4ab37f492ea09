"""A mask under which more and more weights are pruned, in exact numbers."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from flwr_gan.errors import ConfigError
from flwr_gan.prune.magnitude import Mask, prune_smallest

SCOPES = ("global", "local")
LEAST_AXES = 2
"""Arrays of fewer axes (biases) are neither pruned nor counted, as in the stage ``prune``."""


def grow_mask(
    scores: Mapping[str, NDArray[np.floating]],
    mask: Mapping[str, NDArray[np.bool_]],
    *,
    fraction: float,
    scope: str,
    min_kept_per_layer: int,
) -> Mask:
    """Return a mask inside another under which a fraction of all weights is pruned.

    Parameters
    ----------
    scores : mapping from str to ndarray
        What the weights are ranked by; those of the smallest magnitude go.
    mask : mapping from str to bool ndarray
        True where a weight is kept so far, for each array.
    fraction : float
        Of n weights exactly ``round(fraction * n)`` are pruned in the result, or as many as were
        before, if they were more.
    scope : str
        ``"global"``: n counts all arrays together. ``"local"``: each array by itself; the floor
        may leave it more.
    min_kept_per_layer : int
        Weights that every array keeps, or all of a smaller one.

    Raises
    ------
    ConfigError
        If the floor leaves too few weights to prune.
    TrainingError
        If a score is not finite.
    """
    weights = {name: layer for name, layer in mask.items() if layer.ndim >= LEAST_AXES}
    most = {n: layer.size - min(min_kept_per_layer, layer.size) for n, layer in weights.items()}
    if scope == "local":
        grown: Mask = {}
        for name, layer in weights.items():
            pruned = min(round(fraction * layer.size), most[name])
            grown |= prune_smallest({name: scores[name]}, {name: layer}, pruned=pruned)
        return {**mask, **grown}
    total = sum(layer.size for layer in weights.values())
    pruned = round(fraction * total)
    if pruned > sum(most.values()):
        raise ConfigError(
            f"method.fraction={fraction!r} prunes {pruned} of {total} weights, and "
            f"method.min_kept_per_layer={min_kept_per_layer} allows {sum(most.values())}: "
            "lower one of them"
        )
    floor = min_kept_per_layer
    grown = prune_smallest(scores, weights, pruned=pruned, min_kept_per_layer=floor)
    return {**mask, **grown}
