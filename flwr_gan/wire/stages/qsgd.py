"""QSGD: multiples of a fraction of a block's norm, up or down at random.

s levels; v the numbers of a block, of 512; n how many there are.
"""

import math
from typing import ClassVar

import numpy as np

from flwr_gan.errors import CodecError
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.stage import Places
from flwr_gan.wire.stages.blocks import BLOCK_LENGTH, BlockQuantizeStage
from flwr_gan.wire.stages.draws import content_seed, drawn
from flwr_gan.wire.stages.settings import unknown_settings, unreadable, whole_number
from flwr_gan.wire.stages.stage import Coded

UNBIASED = "unbiased"
MOST_LEVELS = 127

ALLOWED = "allowed: qsgd:N or qsgd:N:unbiased with N from 1 to 127, such as qsgd:4"


class QsgdStage(BlockQuantizeStage):
    """``d = c q |v| / s`` with whole q from -s to s, and the norm of each 512 numbers. Lossy.

    q is ``s d / |v|`` rounded down or up at random, by the chances that make its mean exact; the
    expected square of the error is then at most ``w |v|^2`` with ``w = min(n / s^2, sqrt(n) / s)``.
    ``unbiased`` has c = 1, as in the paper, for uses without error feedback, under which it grows
    without bound. Otherwise c is ``1 / (1 + w)``: the error is at most ``1 - c`` of the squares, in
    expectation. Chances are drawn by the numbers themselves. ``c |v| / s`` is rounded up to a float
    with two bits after the leading one. Alistarh et al., "QSGD", 2017, section 3.1 and Lemma 3.1; q
    travels in rANS in the place of Elias's code.

    Parameters
    ----------
    levels : int
        s, 1 to 127.
    unbiased : bool
        Whether c is 1.
    """

    name: ClassVar[str] = "qsgd"
    wire_id: ClassVar[int] = 14
    fine = False

    def __init__(self, *, levels: int, unbiased: bool = False) -> None:
        words = ("qsgd", str(levels), *((UNBIASED,) if unbiased else ()))
        super().__init__(largest=levels, spec=":".join(words), parameter=levels << 1 | unbiased)
        self.contractive = not unbiased
        self.unbiased = None if unbiased else f"{self.spec}:{UNBIASED}"
        variance = min(BLOCK_LENGTH / levels**2, math.sqrt(BLOCK_LENGTH) / levels)
        self.shrinks = 1.0 if unbiased else 1 / (1 + variance)

    def reach(self, blocks: Array) -> Array:
        """Return c times the norm of each block, float64."""
        wide = blocks.astype(np.float64)
        norms: Array = self.shrinks * np.sqrt(np.einsum("ij,ij->i", wide, wide))
        return norms

    def coded(self, values: Array, places: Places, side: Array) -> Array:
        """Return q as int8."""
        steps = self.scales(places, side) / self.shrinks
        with np.errstate(divide="ignore", invalid="ignore"):
            levels = np.nan_to_num(np.abs(values.astype(np.float64)) / steps, nan=0.0)
        chances = drawn(len(values), content_seed([values])) * 2.0**-64
        codes = np.minimum(np.floor(levels + chances), self.largest)
        return np.copysign(codes, values).astype(np.int8)

    def error_bound(self, coded: Coded) -> Array:
        """Return what a number, between the levels beside q, can be away from ``c q |v| / s``."""
        steps = self.scales(coded.places, coded.side) / self.shrinks
        room = steps * (1 + (1 - self.shrinks) * np.abs(coded.codes, dtype=np.float64))
        bound: Array = room + super().error_bound(coded)
        return bound


def from_spec(arguments: tuple[str, ...]) -> QsgdStage:
    """Build ``qsgd:N`` or ``qsgd:N:unbiased``."""
    if len(arguments) not in (1, 2) or arguments[1:] not in ((), (UNBIASED,)):
        raise unreadable("qsgd", arguments, ALLOWED)
    levels = whole_number(arguments[0], lowest=1, highest=MOST_LEVELS)
    if levels is None:
        words = ":".join(("qsgd", *arguments))
        raise CodecError(f"stage {words!r}: {arguments[0]!r} is out of range; {ALLOWED}")
    return QsgdStage(levels=levels, unbiased=len(arguments) == 2)


def from_parameter(parameter: int) -> QsgdStage:
    """Build the stage from its number in a payload, or raise ``PayloadError``."""
    if not 1 <= parameter >> 1 <= MOST_LEVELS:
        raise unknown_settings("qsgd")
    return QsgdStage(levels=parameter >> 1, unbiased=bool(parameter & 1))
