"""One-shot pruning of single weights: the smallest magnitudes, or any as a control.

n weights of an array, or of all arrays together; k of them that are zero afterwards.
"""

import hashlib
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from flwr_gan.errors import CodecError
from flwr_gan.wire.codecs.arrays import Array, canonical_zeros
from flwr_gan.wire.codecs.sparse.largest import largest
from flwr_gan.wire.stages.array_stage import KeepingStage
from flwr_gan.wire.stages.settings import (
    STEPS,
    fraction_text,
    one_of,
    read_fraction,
    unknown_settings,
    unreadable,
)

CRITERIA = ("magnitude", "random")
SCOPES = ("global", "local")
LEAST_AXES = 2

ALLOWED = (
    "allowed: prune:CRITERION:F[:SCOPE] with CRITERION magnitude or random, F from 0.0001 to "
    "0.9999 in at most 4 decimals, SCOPE global or local, such as prune:magnitude:0.8:global"
)


class PruneStage(KeepingStage):
    """Sets ``k = round(F n)`` weights to zero, those that were zero before included. Lossy.

    Arrays of fewer than two axes (biases, statistics) are left alone and not counted. Exactly k
    weights are zero afterwards, or as many as were zero before, if they were more. ``magnitude``
    drops the smallest; of equal ones the last in order go, and NaN is the largest of all. The
    errors of all weights have a norm of at most ``sqrt(k / n)`` times that of the weights.
    ``random`` is a control: the weights that go are drawn by a hash of the weights themselves, so
    that the same arrays lose the same weights everywhere; the norm of the errors is at most that
    of the weights.

    Parameters
    ----------
    criterion : {"magnitude", "random"}
        Which weights go.
    fraction_steps : int
        F in ten-thousandths, 1 to 9,999.
    scope : {"global", "local"}
        Over all arrays together, or the same share of each.
    """

    name: ClassVar[str] = "prune"
    wire_id: ClassVar[int] = 3

    def __init__(
        self, *, criterion: str = "magnitude", fraction_steps: int, scope: str = "global"
    ) -> None:
        super().__init__()
        self.criterion = criterion
        self.fraction_steps = fraction_steps
        self.scope = scope
        self.spec = f"prune:{criterion}:{fraction_text(fraction_steps)}:{scope}"
        self.parameter = fraction_steps << 2 | SCOPES.index(scope) << 1 | CRITERIA.index(criterion)

    def apply(
        self, arrays: Sequence[Array], held: Sequence[Array] | None = None
    ) -> tuple[bytes, list[list[Array]]]:
        """Return nothing to know, and the pruned arrays."""
        chosen = [at for at, array in enumerate(arrays) if array.ndim >= LEAST_AXES]
        layers = [canonical_zeros(np.ascontiguousarray(arrays[at]).reshape(-1)) for at in chosen]
        groups = [[at] for at in range(len(layers))] if self.scope == "local" else None
        masks: list[Array] = []
        for group in groups or [list(range(len(layers)))]:
            masks += self._kept([layers[at] for at in group])
        parts = [[array] for array in arrays]
        for at, layer, mask in zip(chosen, layers, masks, strict=True):
            pruned = np.where(mask, layer, np.float32(0))
            parts[at] = [pruned.reshape(arrays[at].shape)]
        return b"", parts

    def _kept(self, layers: list[Array]) -> list[Array]:
        total = sum(map(len, layers))
        keep = total - self.pruned_count(total)
        if self.criterion == "random":
            layers = _drawn(layers)
        return largest(layers, keep=keep)

    def pruned_count(self, total: int) -> int:
        """Return k for ``n = total`` weights: F n, rounded half to even, without any float."""
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
    """Return for each weight a number above 0 drawn by its layers' content, 0 for a zero.

    SHAKE-256 of the weights, 4 bytes each, is the source: the same on every machine and in every
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


def from_spec(arguments: tuple[str, ...]) -> PruneStage:
    """Build ``prune:CRITERION:F`` or ``prune:CRITERION:F:SCOPE``."""
    if arguments:
        one_of("prune criterion", arguments[0], CRITERIA)
    if len(arguments) not in (2, 3):
        raise unreadable("prune", arguments, ALLOWED)
    steps = read_fraction(arguments[1])
    if steps is None:
        words = ":".join(("prune", *arguments))
        raise CodecError(f"stage {words!r}: {arguments[1]!r} is no fraction; {ALLOWED}")
    scope = one_of("prune scope", (*arguments, "global")[2], SCOPES)
    return PruneStage(criterion=arguments[0], fraction_steps=steps, scope=scope)


def from_parameter(parameter: int) -> PruneStage:
    """Build the stage from its number in a payload, or raise ``PayloadError``."""
    steps = parameter >> 2
    if not 0 < steps < STEPS:
        raise unknown_settings("prune")
    return PruneStage(
        criterion=CRITERIA[parameter & 1], fraction_steps=steps, scope=SCOPES[parameter >> 1 & 1]
    )
