"""Top-k: of an update, the largest changes travel."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from flwr_gan.codecs import compiled
from flwr_gan.codecs.arrays import Array
from flwr_gan.codecs.sparse.masks import largest
from flwr_gan.codecs.sparse.parts import flat_layer
from flwr_gan.compress.update_stage import (
    SCOPES,
    SelectingStage,
    joined_or_each,
    kept_count,
    read_share,
    share_of,
    share_words,
)

ALLOWED = (
    "allowed: topk:F[:SCOPE] with F from 0.0001 to 0.9999 in at most 4 decimals, SCOPE global or "
    "local, such as topk:0.01"
)


class TopKStage(SelectingStage):
    """Keeps ``k = F n`` of n changes, the largest magnitudes; of equal ones the first in order.

    k is rounded half up, and at least 1; n counts all weights of the arrays. The norm of what is
    left over is at most ``sqrt(1 - k / n)`` times that of the changes (Stich, Cordonnier and Jaggi,
    "Sparsified SGD with memory", 2018, Lemma A.1).

    Parameters
    ----------
    fraction_steps : int
        F in ten-thousandths, 1 to 9,999.
    scope : {"global", "local"}
        Over all arrays together, or the same share of each.
    """

    name: ClassVar[str] = "topk"
    wire_id: ClassVar[int] = 11

    def __init__(self, *, fraction_steps: int, scope: str = "global") -> None:
        self.fraction_steps = fraction_steps
        self.scope = scope
        words = share_words(fraction_steps, scope)
        super().__init__(*words, parameter=fraction_steps << 1 | SCOPES.index(scope))

    def apply(
        self, arrays: Sequence[Array], held: Sequence[Array] | None = None
    ) -> tuple[bytes, list[list[Array]]]:
        """Return nothing to know, and the arrays with what is held in all other places."""
        if held is None or compiled.kernels() is None:
            return super().apply(arrays, held)
        layers = [flat_layer(array) for array in arrays]
        pairs = joined_or_each(list(zip(layers, held, strict=True)), self.scope)
        flat = [part for group in pairs for part in _larger(group, self.fraction_steps)]
        parts = [[part.reshape(a.shape)] for part, a in zip(flat, arrays, strict=True)]
        return b"", parts

    def chosen(self, layers: Sequence[Array]) -> list[Array]:
        """Return masks of the largest."""
        masks: list[Array] = []
        for group in joined_or_each(layers, self.scope):
            keep = kept_count(self.fraction_steps, sum(map(len, group)))
            masks += largest(group, keep=keep)
        return masks


def _larger(pairs: Sequence[tuple[Array, Array]], steps: int) -> list[Array]:
    """Return the layers of a group with what is held in the place of the smaller changes.

    By numba's loops; ``pairs`` are layers and what is held of them.
    """
    from flwr_gan.compress.update_kernels import BIN_BITS, magnitudes_of, put_larger

    counts = np.zeros(1 << 16, np.int64)
    magnitudes = []
    for layer, near in pairs:
        change = np.empty(len(layer), np.float32)
        magnitudes.append(change.view(np.uint32))
        magnitudes_of(layer, near, change, magnitudes[-1], counts)
    keep = kept_count(steps, sum(map(len, magnitudes)))
    # How many are in a bin and those above; the last bin that has enough holds the threshold.
    above = counts[::-1].cumsum()[::-1]
    bin_of = int(np.flatnonzero(above >= keep)[-1])
    inside = np.concatenate([m[m >> np.uint32(BIN_BITS) == bin_of] for m in magnitudes])
    place = len(inside) - (keep - int(above[bin_of] - counts[bin_of]))
    threshold = int(np.partition(inside, place)[place]) if keep else 0
    ties = keep - int(above[bin_of] - counts[bin_of]) - int(np.count_nonzero(inside > threshold))
    found = []
    for (layer, near), of_layer in zip(pairs, magnitudes, strict=True):
        found.append(np.empty(len(layer), np.float32))
        ties = put_larger(layer, near, of_layer, threshold, ties, found[-1])
    return found


def from_spec(arguments: tuple[str, ...]) -> TopKStage:
    """Build ``topk:F`` or ``topk:F:SCOPE``."""
    steps, scope = read_share("topk", arguments, ALLOWED)
    return TopKStage(fraction_steps=steps, scope=scope)


def from_parameter(parameter: int) -> TopKStage:
    """Build the stage from its number in a payload, or raise ``PayloadError``."""
    steps, scope = share_of("topk", parameter)
    return TopKStage(fraction_steps=steps, scope=scope)
