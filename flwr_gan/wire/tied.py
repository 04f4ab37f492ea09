"""Arrays that are equal bit for bit, such as tied weights: they are sent once."""

from collections.abc import Sequence

import numpy as np

from flwr_gan.wire.checksum import crc32
from flwr_gan.wire.codecs.arrays import Array

LEAST_BYTES = 65
"""Shorter arrays are not compared: naming them costs as much as sending them."""

_SAMPLE = 64


def find_tied(arrays: Sequence[Array], *, zeros: bool) -> list[int | None]:
    """Return for each array the first earlier one with equal dtype, shape and bytes, if any.

    Only arrays of one dtype and shape are compared, first by a sample, then by a checksum, then
    byte by byte. Arrays of only zero bytes are included with ``zeros``; most codecs write them in
    no bytes.
    """
    found: list[int | None] = [None] * len(arrays)
    kinds: dict[tuple[str, tuple[int, ...]], list[int]] = {}
    for at, array in enumerate(arrays):
        if array.nbytes >= LEAST_BYTES:
            kinds.setdefault((array.dtype.str, array.shape), []).append(at)
    for alike in kinds.values():
        for members in _grouped(alike, [_sample(arrays[at]) for at in alike]):
            checksums = [crc32(_bytes(arrays[at]).data) for at in members]
            for candidates in _grouped(members, checksums):
                first = _bytes(arrays[candidates[0]])
                if not zeros and not first.any():
                    continue
                for at in candidates[1:]:
                    if np.array_equal(first, _bytes(arrays[at])):
                        found[at] = candidates[0]
    return found


def _grouped(members: Sequence[int], keys: Sequence[object]) -> list[list[int]]:
    """Return the members grouped by key, only groups with more than one member."""
    groups: dict[object, list[int]] = {}
    for member, key in zip(members, keys, strict=True):
        groups.setdefault(key, []).append(member)
    return [group for group in groups.values() if len(group) > 1]


def _sample(array: Array) -> bytes:
    flat = array.reshape(-1)
    return flat[:: max(1, len(flat) // _SAMPLE)].tobytes()


def _bytes(array: Array) -> Array:
    flat: Array = array.reshape(-1).view(np.uint8)
    return flat
