"""Which places of a layer are taken (hold a survivor), as bits.

n places, k of them taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from flwr_gan.wire.codecs import compiled
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.sparse.bits import Bytes

Mask = np.ndarray[Any, np.dtype[np.bool_]]
Positions = np.ndarray[Any, np.dtype[np.int64]]

BLOCK = 1 << 20
"""Places per block; a multiple of 8."""

_FEW = 1 / 16
"""Share of taken places below which empty bytes are skipped."""

_PART = 1 << 17
"""Weights split at a time."""


@dataclass(frozen=True)
class Support:
    """Which ``count`` of ``length`` places are taken: packed bits, lowest first; None for all."""

    length: int
    count: int
    bits: Bytes | None

    @classmethod
    def of(cls, mask: Mask) -> "Support":
        """Return the support of a bool array."""
        count = int(np.count_nonzero(mask))
        bits = None if count == len(mask) else np.packbits(mask, bitorder="little")
        return cls(len(mask), count, bits)

    @classmethod
    def at(cls, length: int, positions: Positions) -> "Support":
        """Return the support of ascending positions."""
        if len(positions) > _FEW * length:
            mask = np.zeros(length, bool)
            mask[positions] = True
            return cls.of(mask)
        bits = np.zeros(-(-length // 8), np.uint8)
        np.bitwise_or.at(bits, positions >> 3, np.uint8(1) << (positions & 7).astype(np.uint8))
        return cls.of_bits(length, bits)

    @classmethod
    def of_bits(cls, length: int, bits: Bytes) -> "Support":
        """Return the support of packed bits, whose unused bits are zero."""
        count = _set_bits(bits)
        return cls(length, count, None if count == length else bits)

    @cached_property
    def positions(self) -> Positions:
        """The places taken, ascending."""
        if self.bits is None:
            return np.arange(self.length)
        if self.count > _FEW * self.length:
            return np.flatnonzero(self.mask)
        octets = np.flatnonzero(self.bits != 0)
        ones = np.flatnonzero(np.unpackbits(self.bits[octets], bitorder="little"))
        found: Positions = 8 * octets[ones >> 3] + (ones & 7)
        return found

    def rank(self, positions: Positions) -> Positions:
        """Return how many places are taken before each of these."""
        if self.bits is None:
            return positions
        words = np.zeros(-(-len(self.bits) // 8), "<u8")
        words.view(np.uint8)[: len(self.bits)] = self.bits
        word_of, before = positions >> 6, np.cumsum(np.bitwise_count(words), dtype=np.int64)
        above = words[word_of] >> (positions & 63).astype(np.uint64)
        ranks: Positions = before[word_of] - np.bitwise_count(above)
        return ranks

    def part(self, start: int, stop: int) -> "Support":
        """Return the support of some of the places; ``start`` is a multiple of 8."""
        stop = min(stop, self.length)
        if self.bits is None:
            return Support(stop - start, stop - start, None)
        return Support.of_bits(stop - start, self.bits[start // 8 : -(-stop // 8)])

    @property
    def mask(self) -> Mask:
        """The support as a bool array, shape (n,)."""
        if self.bits is None:
            return np.ones(self.length, bool)
        return np.unpackbits(self.bits, count=self.length, bitorder="little").view(bool)

    @cached_property
    def packed(self) -> Bytes:
        """The bits, even if all are set."""
        return np.packbits(self.mask, bitorder="little") if self.bits is None else self.bits

    def of_layer(self, layer: Array) -> Array:
        """Return the elements of an array of shape (n,) at the taken places; a view if all are."""
        return layer if self.bits is None else picked(self.bits, layer, self.count)


@dataclass(frozen=True)
class Block:
    """Which of the places from ``start`` to ``stop`` of a layer are taken.

    All are, unless bits or positions (in the whole layer) are given.
    """

    start: int
    stop: int
    count: int
    bits: Bytes | None = None
    found: Positions | None = None

    @classmethod
    def of_support(cls, start: int, support: Support) -> "Block":
        """Return the block of a support that begins at ``start``."""
        return cls(start, start + support.length, support.count, support.bits)

    @classmethod
    def of_positions(cls, found: Positions) -> "Block":
        """Return the block of ascending positions."""
        ends = (int(found[0]), int(found[-1]) + 1) if len(found) else (0, 0)
        return cls(*ends, len(found), None, found)

    @property
    def is_whole(self) -> bool:
        """True if all places are taken."""
        return self.found is None and self.bits is None

    @property
    def positions(self) -> Positions:
        """The places taken, ascending."""
        if self.found is not None:
            return self.found
        if self.bits is None:
            return np.arange(self.start, self.stop)
        mask = np.unpackbits(self.bits, count=self.stop - self.start, bitorder="little")
        return self.start + np.flatnonzero(mask)

    def of(self, layer: Array) -> Array:
        """Return the elements at the taken places."""
        if self.found is not None:
            return layer[self.found]
        inside = layer[self.start : self.stop]
        return inside if self.bits is None else picked(self.bits, inside, self.count)

    def put(self, layer: Array, values: Array) -> None:
        """Write float32 values to the taken places of a layer that is zero elsewhere."""
        if self.found is not None:
            layer[self.found] = values
            return
        inside = layer[self.start : self.stop]
        if self.bits is None:
            inside[:] = values
            return
        loops = compiled.kernels()
        if loops is not None:
            loops.scatter(self.bits, values.view(np.uint32), inside.view(np.uint32))
        else:
            mask = np.unpackbits(self.bits, count=len(inside), bitorder="little")
            inside[mask.view(bool)] = values


def joined(supports: Sequence[Support]) -> Support:
    """Return the support of the places of several layers, one after the other."""
    if len(supports) == 1:
        return supports[0]
    return Support.of(np.concatenate([np.zeros(0, bool), *(one.mask for one in supports)]))


def picked(bits: Bytes, layer: Array, count: int) -> Array:
    """Return the ``count`` 32-bit numbers of a layer whose bits are set."""
    loops = compiled.kernels()
    if loops is None or layer.dtype.itemsize != 4:
        found: Array = layer[np.unpackbits(bits, count=len(layer), bitorder="little").view(bool)]
        return found
    picked_out = np.empty(count, np.uint32)
    loops.pick(bits, layer.view(np.uint32), picked_out)
    return picked_out.view(layer.dtype)


def unequal(one: Array, other: Array, *, bitwise: bool) -> Support:
    """Return where two float32 arrays of shape (n,) differ, in their bits or as numbers."""
    if bitwise:
        one, other = one.view(np.uint32), other.view(np.uint32)
    parts = [slice(at, at + _PART) for at in range(0, len(one), _PART)]
    packed = [np.packbits(one[part] != other[part], bitorder="little") for part in parts]
    return Support.of_bits(len(one), np.concatenate([np.empty(0, np.uint8), *packed]))


def taken_apart(layer: Array, *, strict: bool) -> tuple[Support, Array]:
    """Return the mask of survivors of a float32 layer, and their values; a view if all survive.

    -0.0 survives if ``strict``.
    """
    parts = [layer[at : at + _PART] for at in range(0, len(layer), _PART)]
    if all(_survive(part, strict).all() for part in parts):
        return Support(len(layer), len(layer), None), layer
    # Part by part, so that a part is still in the cache.
    pairs = [_part_taken(part, strict) for part in parts]
    bits, survivors = (np.concatenate(found) for found in zip(*pairs, strict=True))
    return Support(len(layer), len(survivors), bits), survivors


def _part_taken(values: Array, strict: bool) -> tuple[Bytes, Array]:
    bits = np.packbits(_survive(values, strict), bitorder="little")
    return bits, picked(bits, values, _set_bits(bits))


def _survive(values: Array, strict: bool) -> Mask:
    survive: Mask = (values.view(np.uint32) if strict else values) != 0
    return survive


def _set_bits(bits: Bytes) -> int:
    return int(np.bitwise_count(bits).sum(dtype=np.int64))
