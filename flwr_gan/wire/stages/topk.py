"""Top-k: send the largest changes of an update; in dgc, of the accumulated momentum."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.settings import Fraction, OneOf, Setting
from flwr_gan.wire.codecs.sparse.largest import BLOCK, largest_places
from flwr_gan.wire.codecs.sparse.parts import flat_layer
from flwr_gan.wire.codecs.sparse.support import Positions
from flwr_gan.wire.stages.array_stage import SCOPES, SelectingStage, changes, kept_count

_PLACES = 100
MOMENTUM_STEPS = 90
"""In hundredths, as in the paper."""


class TopKStage(SelectingStage):
    """Keeps the ``k = F n`` largest magnitudes of n changes; of equal ones the first in order.

    k is rounded half up, and at least 1; n counts the weights that survive on both sides, so that a
    pruned network sends the same share. The norm of the residual is at most
    ``sqrt(1 - k / n)`` times that of the changes (Stich, Cordonnier and Jaggi, "Sparsified SGD with
    memory", 2018, Lemma A.1).
    """

    name = "topk"
    wire_id = 11

    settings: tuple[Setting, ...] = (
        Fraction("fraction_steps"),
        OneOf("scope", SCOPES, "global", shown=False),
    )
    allowed = (
        "allowed: topk:F[:SCOPE] with F from 0.0001 to 0.9999 in at most 4 decimals, SCOPE global "
        "or local, such as topk:0.01"
    )
    fraction_steps: int
    scope: str = "global"

    def chosen(self, arrays: Sequence[Array], held: Sequence[Array]) -> list[Positions]:
        """Return the places of the largest changes."""
        moved = [_Change(flat_layer(a), near) for a, near in zip(arrays, held, strict=True)]
        places: list[Positions] = []
        for group in [moved] if self.scope == SCOPES[0] else [[one] for one in moved]:
            keep = kept_count(self.fraction_steps, sum(one.candidates for one in group))
            places += largest_places(group, keep=keep)
        return places


@dataclass(frozen=True)
class _Change:
    """A layer and the receiver's weights of it; the changes are computed in parts."""

    layer: Array
    near: Array

    def __len__(self) -> int:
        return len(self.layer)

    def __getitem__(self, part: slice, /) -> Array:
        return changes(self.layer[part], self.near[part])

    @property
    def candidates(self) -> int:
        """Number of weights that survive on both sides."""
        parts = (slice(at, at + BLOCK) for at in range(0, len(self), BLOCK))
        counts = (np.count_nonzero((self.layer[p] != 0) & (self.near[p] != 0)) for p in parts)
        return int(sum(counts))


class DgcStage(TopKStage):
    """Keeps the ``k = F n`` largest changes after momentum correction. Lossy.

    For an update g, the sender accumulates ``u = M u + g`` and ``v = v + u``, sends the largest of
    v, and sets u and v to zero there (momentum factor masking): v is the residual of error
    feedback, u the sender's memory. Without both it is ``topk:F``. The warm-up of F is a schedule
    of the codec. Lin et al., "Deep gradient compression", 2018, Algorithm 1 and section 3.2;
    clipping is left to the local optimiser.
    """

    name = "dgc"
    wire_id = 16

    settings = (
        Fraction("fraction_steps"),
        Fraction(
            "momentum_steps", highest=_PLACES - 1, default=MOMENTUM_STEPS, fault="is no momentum"
        ),
    )
    allowed = (
        "allowed: dgc:F[:M] with F from 0.0001 to 0.9999 in at most 4 decimals and a momentum M "
        "from 0.01 to 0.99, such as dgc:0.01 or dgc:0.01:0.9"
    )
    momentum_steps: int

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.momentum = self.momentum_steps / _PLACES
