"""Bands: groups of indices of one axis of a layer with similar statistics, coded separately.

Weights that belong to the same input (or output) of a layer are alike: some inputs keep many large
weights, others few small ones. A band collects the weights of some indices of one axis, in the
order of the layer; mask and values of each band have their own frequencies.

C length of the axis, m indices in a band, k survivors.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs.arrays import MAX_DIMS
from flwr_gan.wire.codecs.pieces import Pieces
from flwr_gan.wire.codecs.sparse.bits import Bytes
from flwr_gan.wire.codecs.sparse.streams import read_stream, write_stream
from flwr_gan.wire.codecs.sparse.support import BLOCK, Block, Positions, Support
from flwr_gan.wire.codecs.varint import ByteReader

MAX_AXIS = 1 << 16
MIN_WEIGHTS_AN_INDEX = 16
"""Limits of the format; they keep the memory for bands below the memory for the weights."""

_COUNTS = (2, 4, 8)
_LEAST_SURVIVORS = 4096
_MOST_SURVIVORS = 1 << 19
_SAMPLE = 1 << 14
_LONGEST_TRIED = 1024
_WEIGHTS_TRIED = 64
_TABLE_BITS = 400
_MASK_CREDIT = 0.4
"""Gaps adapt to a part of the differences in density by themselves; measured, not derived."""
_LEAST_GAIN = 0.007
_COARSE = 64
_COARSE_SHIFT = 21
"""Values are compared by exponent and two bits of the mantissa, the 64 highest of these."""


@dataclass(frozen=True)
class Bands:
    """A layer's division into 2 to 8 bands along one axis: ``of_index`` uint8, shape (C,)."""

    shape: tuple[int, ...]
    axis: int
    count: int
    of_index: Bytes

    @cached_property
    def _inner(self) -> int:
        return math.prod(self.shape[self.axis + 1 :])

    @cached_property
    def _members(self) -> list[Positions]:
        return [np.flatnonzero(self.of_index == band) for band in range(self.count)]

    @property
    def lengths(self) -> list[int]:
        """Number of weights of each band."""
        outer = math.prod(self.shape[: self.axis])
        return [outer * len(members) * self._inner for members in self._members]

    def whole(self, band: int) -> Positions:
        """Return the places in the layer of all weights of a band."""
        places = np.arange(math.prod(self.shape)).reshape(-1, len(self.of_index), self._inner)
        found: Positions = places[:, self._members[band]].reshape(-1)
        return found

    def in_layer(self, band: int, positions: Positions) -> Positions:
        """Return the layer's positions for positions inside a band; both ascend."""
        members, inner = self._members[band], self._inner
        row, within = _divide(positions, len(members) * inner)
        index, rest = _divide(within, inner)
        found: Positions = row * (len(self.of_index) * inner) + members[index] * inner + rest
        return found

    def split(self, positions: Positions) -> list[tuple[Positions, Positions]]:
        """Return per band the indices of its positions in the layer's, and their places in it."""
        inner = self._inner
        row, within = _divide(positions, len(self.of_index) * inner)
        index, rest = _divide(within, inner)
        band = self.of_index[index]
        order = np.argsort(band, kind="stable")
        ends = np.cumsum(np.bincount(band, minlength=self.count))[:-1]
        rank = np.empty(len(self.of_index), np.int64)
        sizes = np.empty(self.count, np.int64)
        for number, members in enumerate(self._members):
            rank[members] = np.arange(len(members))
            sizes[number] = len(members) * inner
        inside = (row * sizes[band] + rank[index] * inner + rest)[order]
        return list(zip(np.split(order, ends), np.split(inside, ends), strict=True))

    def block(self, band: int, inside: Block) -> Block:
        """Return the places in the layer of a block of a band."""
        if inside.is_whole and math.prod(self.shape) <= BLOCK:
            return Block.of_positions(self.whole(band)[inside.start : inside.stop])
        return Block.of_positions(self.in_layer(band, inside.positions))

    def supports(self, support: Support) -> tuple[list[Positions], list[Support]]:
        """Return per band the indices of its survivors among the layer's, and its support."""
        if support.bits is None:
            every = [self.whole(band) for band in range(self.count)]
            return every, [Support(length, length, None) for length in self.lengths]
        parts = self.split(support.positions)
        pairs = zip(self.lengths, parts, strict=True)
        return [chosen for chosen, _ in parts], [
            Support.at(length, at) for length, (_, at) in pairs
        ]


def _divide(positions: Positions, by: int) -> tuple[Positions, Positions]:
    if by == 1:
        return positions, np.zeros_like(positions)
    quotient = positions // by
    return quotient, positions - quotient * by


def write_bands(layers: Sequence[Bands | None]) -> Pieces:
    """Code the divisions of all layers: a byte each, then the bands of the indices."""
    head = bytes(0 if bands is None else bands.axis << 3 | bands.count - 1 for bands in layers)
    return Pieces([head, write_stream([bands.of_index for bands in layers if bands is not None])])


def read_bands(reader: ByteReader, shapes: Sequence[tuple[int, ...]]) -> list[Bands | None]:
    """Read what ``write_bands`` wrote for layers of these shapes, or raise ``PayloadError``."""
    codes = [reader.byte() for _ in shapes]
    for code, shape in zip(codes, shapes, strict=True):
        axis, count = code >> 3, (code & 7) + 1
        if not code:
            continue
        if count < 2 or axis >= len(shape) or not 0 < shape[axis] <= MAX_AXIS:
            raise PayloadError(f"a layer of shape {shape} cannot have bands {code}")
        if math.prod(shape) < MIN_WEIGHTS_AN_INDEX * shape[axis]:
            raise PayloadError(f"a layer of shape {shape} is too small for bands of axis {axis}")
    pairs = zip(codes, shapes, strict=True)
    joined = read_stream(reader, sum(shape[code >> 3] for code, shape in pairs if code))
    found: list[Bands | None] = []
    for code, shape in zip(codes, shapes, strict=True):
        axis, count = code >> 3, (code & 7) + 1
        if not code:
            found.append(None)
            continue
        of_index, joined = joined[: shape[axis]], joined[shape[axis] :]
        if of_index.max() >= count:
            raise PayloadError("a layer has more bands than it says")
        found.append(Bands(shape, axis, count, of_index))
    return found


def may_have_bands(supports: Sequence[Support]) -> bool:
    """Return False for networks where bands would cost more time than the saved bytes are worth."""
    return sum(support.count for support in supports) <= _MOST_SURVIVORS


def choose_bands(
    values: np.ndarray[Any, np.dtype[Any]],
    positions: Positions,
    shape: tuple[int, ...],
    *,
    bits_each: float,
    values_gain: bool,
) -> Bands | None:
    """Return the division of a layer with the largest estimated saving; None if too small.

    The entropy of the mask falls if bands differ in density; the entropy of the values (of their
    coarse magnitudes) falls if bands differ in distribution. ``values_gain`` says whether the
    coding of values profits. ``bits_each`` is about the bits of one survivor; a saving below 0.7 %
    of that is too small.
    """
    if len(values) < (_LEAST_SURVIVORS if values_gain else 2 * _LEAST_SURVIVORS):
        return None
    weights, survivors = math.prod(shape), len(values)
    best, least = None, _LEAST_GAIN * bits_each * survivors
    if survivors > _SAMPLE:
        chosen = _spread(_SAMPLE, survivors)
        values, positions = values[chosen], positions[chosen]
    step = survivors / len(values)
    sizes = np.abs(values)
    mask_credit = _MASK_CREDIT if survivors < weights else 0.0
    for axis, length in enumerate(shape[: MAX_DIMS - 1]):
        if not 4 <= length <= _LONGEST_TRIED or weights < _WEIGHTS_TRIED * length:
            continue
        index = _divide(positions, math.prod(shape[axis + 1 :]))[0]
        index = index % length if axis else index
        total = np.bincount(index, sizes, minlength=length)
        if not np.isfinite(total).all():
            return None
        kept = np.bincount(index, minlength=length)
        counts = _coarse_counts(index, sizes, length) if values_gain else kept[:, None]
        each = weights / length / step
        # One band per index is an upper bound of the saving.
        if step * _saving(counts, np.full(length, each), mask_credit) <= least:
            continue
        used = int(np.count_nonzero(counts.sum(axis=0)))
        for count in _COUNTS:
            of_index = _by_size(kept, total, count)
            member = (of_index == np.arange(count)[:, None]).astype(np.int64)
            saved = step * _saving(member @ counts, member.sum(axis=1) * each, mask_credit)
            saved -= length * math.log2(count) + _TABLE_BITS * (count - 1)
            # In a sample, bands also differ by chance.
            saved -= (step - 1) * (count - 1) * used / math.log(4)
            if saved > least:
                best, least = Bands(shape, axis, count, of_index), saved
    return best


def _spread(count: int, length: int) -> Positions:
    """Return places spread evenly over a range, without a period that an axis could share."""
    steps = np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B1) & np.uint64(0xFFFFFFFF)
    return (steps * np.uint64(length) >> np.uint64(32)).astype(np.int64)


def _by_size(kept: Any, total: Any, count: int) -> Bytes:
    """Put the indices into bands with about equal numbers of survivors, small sums first."""
    order = np.argsort(total, kind="stable")
    before = np.cumsum(kept[order]) - kept[order]
    of_index = np.empty(len(kept), np.uint8)
    of_index[order] = np.minimum(before * count // max(int(kept.sum()), 1), count - 1)
    return of_index


def _coarse_counts(index: Positions, sizes: Any, length: int) -> Any:
    """Return the histogram of coarse magnitudes at each index, shape (C, 64)."""
    steps = sizes.view(np.uint32) >> _COARSE_SHIFT
    steps = np.minimum(steps.max() - steps, _COARSE - 1)
    joint = index * _COARSE + steps
    return np.bincount(joint, minlength=length * _COARSE).reshape(length, _COARSE)


def _saving(counts: Any, places: Any, mask_credit: float) -> float:
    """Return the estimated bits that bands save, given their survivors and places.

    ``counts`` of survivors has shape (bands, symbols), ``places`` has (bands,).
    """
    kept = counts.sum(axis=1)
    mask = _split_bits(kept, places) + _split_bits(places - kept, places)
    return mask_credit * mask + _split_bits(counts, kept[:, None])


def _split_bits(part: Any, whole: Any) -> float:
    """Return the bits of the counted symbols together, minus their bits band by band."""
    return _entropy_bits(part.sum(axis=0), whole.sum(axis=0)) - _entropy_bits(part, whole)


def _entropy_bits(part: Any, whole: Any) -> float:
    # 0 log 0 is 0.
    return float(np.sum(part * np.log2(np.maximum(whole, 1) / np.maximum(part, 1))))
