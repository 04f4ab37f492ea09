"""Random k: send the changes of an update that a seed known to both sides draws.

n survivors of an array; k of them that are drawn.
"""

from typing import Any

import numpy as np

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.settings import UNBIASED, Fraction
from flwr_gan.wire.stages.array_stage import kept_count
from flwr_gan.wire.stages.change_stage import ChangeStage, spread
from flwr_gan.wire.stages.draws import content_seed, drawn

_DRAWS = 256


class RandKStage(ChangeStage):
    """Keeps ``k = F n`` of the n changes of each array, drawn at random. Lossy; takes a base.

    The base is the seed, so positions take no bytes, and all clients that were sent the same arrays
    draw the same positions: their updates can be summed. The norm of the residual is
    ``sqrt(1 - k / n)`` times that of the changes in expectation, and never above it.
    ``unbiased`` sends the changes times ``n / k``, whose mean over all draws is the update. It is
    for use without error feedback, with which it would grow without bound. Konečný et al.,
    "Federated learning: strategies for improving communication efficiency", 2016, section 2.
    """

    name = "randk"
    wire_id = 12

    settings = (Fraction("fraction_steps"), UNBIASED)
    allowed = (
        "allowed: randk:F or randk:F:unbiased with F from 0.0001 to 0.9999 in at most 4 decimals, "
        "such as randk:0.05"
    )
    fraction_steps: int
    is_unbiased: bool

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.contractive = not self.is_unbiased
        self.unbiased = None if self.is_unbiased else f"{self.spec}:unbiased"

    def coded(self, change: Array, near: Array, at: int = 0) -> tuple[bytes, Array]:
        """Return the number of the draw, if not the first, and the drawn changes, shape (k,).

        It is the first of at most 256 draws that contains a changed weight.
        """
        may, held = change[near != 0], near[near != 0]
        for draw in range(_DRAWS):
            found: Array = may[self.places(held, draw)]
            if found.any() or not may.any():
                break
        if not self.contractive:
            found = found * np.float32(len(may) / len(found))
        return bytes([draw] if draw else []), found

    def decoded(self, known: bytes, part: Array, near: Array) -> Array:
        """Return the changes of all weights, zero where none was drawn."""
        held = near[near != 0]
        if len(known) > 1 or len(part) != kept_count(self.fraction_steps, len(held)):
            raise PayloadError(f"{self.spec}: there are other changes than the base draws")
        change = np.zeros(len(held), np.float32)
        change[self.places(held, known[0] if known else 0)] = part
        return spread(change, near)

    def places(self, near: Array, draw: int = 0) -> Array:
        """Return the indices of the drawn survivors of the receiver, ascending, shape (k,)."""
        count = kept_count(self.fraction_steps, len(near))
        numbers = drawn(len(near), content_seed(near) + (draw << 32))
        return np.sort(np.argpartition(numbers, count - 1)[:count])
