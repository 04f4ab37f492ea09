"""Stages on updates: of what changed since the receiver's last arrays, few numbers travel.

A change is the difference of a weight to what the receiver holds. Candidates are the weights that
survive on both sides; what was pruned, or has come back, always travels. Where the receiver holds
nothing, everything travels.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from flwr_gan.wire.codecs.arrays import Array, canonical_zeros
from flwr_gan.wire.codecs.settings import STEPS
from flwr_gan.wire.codecs.sparse.support import Positions
from flwr_gan.wire.stages.array_stage import ArrayStage, KeepingStage

SCOPES = ("global", "local")
"""Over all arrays together, or the same for each."""


def changes(layer: Array, near: Array) -> Array:
    """Return the change of each candidate, float32, and 0 for all other weights."""
    with np.errstate(invalid="ignore", over="ignore"):
        found: Array = layer - near
    found[(layer == 0) | (near == 0)] = 0
    return found


class UpdateStage(ArrayStage):
    """What all stages on updates are: relative to what the receiver holds."""

    relative: ClassVar[bool] = True

    def error_bound(self, arrays: Sequence[Array]) -> float:
        """Return the norm of all changes: the stage does not change a weight by more."""
        return float(np.sqrt(sum(float(np.sum(a.astype(np.float64) ** 2)) for a in arrays)))


class SelectingStage(KeepingStage, UpdateStage):
    """Lets some changes travel whole, and none of the others. Lossy.

    Which these are is seen from the arrays alone, so that no stage is needed to decode them.
    """

    @abstractmethod
    def chosen(self, arrays: Sequence[Array], held: Sequence[Array]) -> list[Positions]:
        """Return where in each flat array the changes of candidates are that travel, ascending."""

    def apply(
        self, arrays: Sequence[Array], held: Sequence[Array] | None = None
    ) -> tuple[bytes, list[list[Array]]]:
        """Return nothing to know, and the arrays with what is held of all other candidates."""
        if held is None:
            return b"", [[array] for array in arrays]
        parts = []
        for array, near, places in zip(arrays, held, self.chosen(arrays, held), strict=True):
            layer = canonical_zeros(np.ascontiguousarray(array).reshape(-1))
            travels = (layer == 0) | (near == 0) | ~np.isfinite(near)
            made = np.where(travels, layer, near)
            made[places] = layer[places]
            parts.append([made.reshape(array.shape)])
        return b"", parts


def kept_count(steps: int, total: int) -> int:
    """Return ``F n``, rounded half up, without any float; at least 1, 0 of nothing."""
    return max((2 * steps * total + STEPS) // (2 * STEPS), min(total, 1))
