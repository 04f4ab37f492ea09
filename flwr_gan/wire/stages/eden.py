"""EDEN: the changes of an update, randomly rotated, then quantised to 1 to 4 bits.

x the d changes of a piece of an array; y the rotated changes; q their levels; b bits.
"""

from typing import Any

import numpy as np

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.settings import OneOf, Whole
from flwr_gan.wire.stages.change_stage import ChangeStage, spread
from flwr_gan.wire.stages.draws import content_seed, drawn

LEVELS = (
    (0.79788,),
    (0.45278, 1.51042),
    (0.24509, 0.75601, 1.34391, 2.15195),
    (0.12840, 0.38805, 0.65676, 0.94234, 1.25623, 1.61805, 2.06902, 2.73259),
)
"""Positive levels for 1 to 4 bits with the least loss for a standard normal (Lloyd, Max)."""

KINDS = ("biased", "unbiased")
LONGEST, SHORTEST = 1 << 13, 1 << 6
"""Lengths of a piece, which is rotated as a whole: powers of two."""


class EdenStage(ChangeStage):
    """``x = S R^-1(q)`` with ``y = R(x)``, R a Hadamard transform of x with random signs. Lossy.

    Rotated numbers are nearly normal, whatever the changes are, so that the same levels suit them
    all. ``biased``, the default, takes the scale ``S = <q, y> / |q|^2`` with the least loss: the
    norm of the error is never above that of the changes, and about 0.363, 0.117, 0.035 and 0.010 of
    their squares for 1 to 4 bits. ``unbiased`` takes ``S = |x|^2 / <q, y>``, whose mean over all
    rotations is the update, for use without error feedback. With 1 bit this is DRIVE. The seed of
    the signs is computed from the changes and sent. Vargaftik et al., "DRIVE", 2021, and "EDEN",
    2022.
    """

    name = "eden"
    wire_id = 13

    settings = (Whole("bits", 1, len(LEVELS)), OneOf("kind", KINDS, KINDS[0], shown=False))
    allowed = "allowed: eden:B or eden:B:unbiased with B from 1 to 4, such as eden:2"
    bits: int
    kind: str

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        positive = np.array(LEVELS[self.bits - 1], np.float32)
        self._levels = np.concatenate([-positive[::-1], positive])
        self._borders = (self._levels[1:] + self._levels[:-1]) / 2
        self.contractive = self.kind == KINDS[0]
        self.unbiased = f"{self.spec}:{KINDS[1]}" if self.contractive else None

    def coded(self, change: Array, near: Array, at: int = 0) -> tuple[bytes, Array]:
        """Return the seed and the scale of each piece, and the levels of all."""
        may = change[near != 0]
        seed = content_seed(may)
        scales, levels = [], []
        for piece, signs in zip(_pieces(may), _signs(len(may), seed), strict=True):
            turned = _turned(piece * signs)
            scale, level = self.levels_of(turned)
            scales.append(scale)
            levels.append(level)
        known = seed.to_bytes(4, "little") + np.array(scales, "<f4").tobytes()
        return known, np.concatenate(levels)

    def levels_of(self, turned: Array) -> tuple[float, Array]:
        """Return the scale S, and the levels q of rotated changes, float32, shape (d,)."""
        squares = float(turned.astype(np.float64) @ turned)
        length = np.float32(np.sqrt(len(turned) / squares)) if squares else np.float32(0)
        level = self._levels[np.searchsorted(self._borders, turned * length)]
        wide = level.astype(np.float64)
        product = float(wide @ turned)
        if not squares:
            return 0.0, level
        return (product / float(wide @ wide) if self.contractive else squares / product), level

    def decoded(self, known: bytes, part: Array, near: Array) -> Array:
        """Return the changes of all weights."""
        count = int(np.count_nonzero(near))
        lengths = piece_lengths(count)
        if len(part) != sum(lengths) or len(known) != 4 + 4 * len(lengths):
            raise PayloadError(f"{self.spec}: levels or scales do not fit an array")
        seed, scales = int.from_bytes(known[:4], "little"), np.frombuffer(known, "<f4", offset=4)
        ends = np.cumsum(lengths)[:-1]
        pieces = zip(np.split(part, ends), scales, _signs(count, seed), strict=True)
        change = [_turned(piece * scale) * signs for piece, scale, signs in pieces]
        return spread(np.concatenate(change)[:count], near)


def piece_lengths(count: int) -> list[int]:
    """Return the lengths of the pieces of ``count`` numbers; the last is padded with zeros."""
    lengths = [LONGEST] * (count // LONGEST)
    left = -(-(count % LONGEST) // SHORTEST) * SHORTEST
    lengths += [1 << bit for bit in range(LONGEST.bit_length(), -1, -1) if left >> bit & 1]
    return lengths


def _pieces(numbers: Array) -> list[Array]:
    lengths = piece_lengths(len(numbers))
    filled = np.append(numbers, np.zeros(sum(lengths) - len(numbers), np.float32))
    return np.split(filled, np.cumsum(lengths)[:-1])


def _signs(count: int, seed: int) -> list[Array]:
    """Return the signs of all pieces, 1 or -1, float32."""
    lengths = piece_lengths(count)
    bits = np.unpackbits(
        drawn(-(-sum(lengths) // 64), seed).astype("<u8").view(np.uint8), bitorder="little"
    )
    signs = 1 - 2 * bits[: sum(lengths)].astype(np.float32)
    return np.split(signs, np.cumsum(lengths)[:-1])


def _turned(numbers: Array) -> Array:
    """Return the Hadamard transform of 2**m numbers; it is its own inverse."""
    turned = numbers
    half = 1
    while half < len(numbers):
        pairs = turned.reshape(-1, 2, half)
        turned = np.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], axis=1)
        half *= 2
    return turned.reshape(-1) * np.float32(1 / np.sqrt(len(numbers)))
