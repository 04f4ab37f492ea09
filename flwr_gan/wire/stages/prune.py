"""One-shot pruning of single weights: the smallest magnitudes, or random ones as a control.

n weights of an array, or of all arrays together; k of them that are zero afterwards.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from flwr_gan.wire.codecs.arrays import Array, canonical_zeros
from flwr_gan.wire.codecs.settings import STEPS, Fraction, OneOf
from flwr_gan.wire.codecs.sparse.largest import largest
from flwr_gan.wire.stages.array_stage import SCOPES, KeepingStage

CRITERIA = ("magnitude", "random")
LEAST_AXES = 2


class PruneStage(KeepingStage):
    """Sets ``k = round(F n)`` weights to zero, weights already zero included. Lossy.

    Arrays of fewer than two axes (biases, statistics) are neither pruned nor counted. Exactly k
    weights are zero afterwards, or more if more were zero before. ``magnitude`` drops the smallest;
    of equal ones the last in order, and NaN counts as largest of all. The norm of the errors is at
    most ``sqrt(k / n)`` times that of the weights.
    ``random`` is a control: the dropped weights are drawn by a hash of the weights themselves, so
    that the same arrays lose the same weights everywhere; the norm of the errors is at most that
    of the weights.
    """

    name = "prune"
    wire_id = 3

    settings = (
        OneOf("criterion", CRITERIA),
        Fraction("fraction_steps"),
        OneOf("scope", SCOPES, "global"),
    )
    allowed = (
        "allowed: prune:CRITERION:F[:SCOPE] with CRITERION magnitude or random, F from 0.0001 to "
        "0.9999 in at most 4 decimals, SCOPE global or local, such as prune:magnitude:0.8:global"
    )
    criterion: str
    fraction_steps: int
    scope: str

    def changed(self, arrays: Sequence[Array], held: Sequence[Array] | None) -> list[Array]:
        """Return the pruned arrays."""
        chosen = [at for at, array in enumerate(arrays) if array.ndim >= LEAST_AXES]
        layers = [canonical_zeros(np.ascontiguousarray(arrays[at]).reshape(-1)) for at in chosen]
        masks: list[Array] = []
        for group in [layers] if self.scope == "global" else [[layer] for layer in layers]:
            masks += self._kept(group)
        parts = list(arrays)
        for at, layer, mask in zip(chosen, layers, masks, strict=True):
            parts[at] = np.where(mask, layer, np.float32(0)).reshape(arrays[at].shape)
        return parts

    def _kept(self, layers: list[Array]) -> list[Array]:
        total = sum(map(len, layers))
        keep = total - self.pruned_count(total)
        if self.criterion == "random":
            layers = _drawn(layers)
        return largest(layers, keep=keep)

    def pruned_count(self, total: int) -> int:
        """Return k for ``n = total`` weights: F n, rounded half to even, without floats."""
        whole, rest = divmod(self.fraction_steps * total, STEPS)
        up = 2 * rest > STEPS or (2 * rest == STEPS and whole % 2 == 1)
        return whole + int(up)

    def error_bound(self, arrays: Sequence[Array]) -> float:
        """Return the norm of all weights times ``sqrt(k / n)``, or times 1 for ``random``."""
        squares = 0.0
        groups = [a for a in arrays if a.ndim >= LEAST_AXES and a.size]
        joined = [g.astype(np.float64).reshape(-1) for g in groups]
        if self.scope == "global" and joined:
            joined = [np.concatenate(joined)]
        for flat in joined:
            share = self.pruned_count(len(flat)) / len(flat) if self.criterion != "random" else 1.0
            squares += share * float(flat @ flat)
        return float(np.sqrt(squares))


def _drawn(layers: Sequence[Array]) -> list[Array]:
    """Return a number above 0 per weight, drawn by the layers' content; 0 for a zero weight.

    The source is SHAKE-256 of the weights, 4 bytes each: equal on every machine and with every
    version of numpy.
    """
    content = hashlib.shake_256()
    for layer in layers:
        content.update(len(layer).to_bytes(8, "little") + layer.tobytes())
    drawn = np.frombuffer(content.digest(4 * sum(map(len, layers))), "<u4")
    ends = np.cumsum([len(layer) for layer in layers])[:-1]
    numbers = np.split(drawn >> np.uint32(1) | np.uint32(1), ends) if layers else []
    return [
        np.where(layer != 0, number, np.uint32(0)).view(np.float32)
        for layer, number in zip(layers, numbers, strict=True)
    ]
