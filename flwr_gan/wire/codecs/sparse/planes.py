"""Arrays of types other than float32: byte planes by significance, one stream per plane."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs import compiled
from flwr_gan.wire.codecs.arrays import Array, ArraySpec
from flwr_gan.wire.codecs.pieces import Pieces
from flwr_gan.wire.codecs.sparse.bits import Bytes
from flwr_gan.wire.codecs.sparse.streams import (
    byte_counts,
    read_stream,
    spread,
    write_byte_planes,
)
from flwr_gan.wire.codecs.sparse.tables import entropy_bits
from flwr_gan.wire.codecs.sparse.values import BLOCK, Block, blocks_of
from flwr_gan.wire.codecs.threads import in_order
from flwr_gan.wire.codecs.varint import ByteReader

_TURNED = (2, 4, 8)
"""Element sizes whose bits may be rotated, so that a float's exponent is separate."""


def write_planes(arrays: Sequence[Array]) -> Pieces:
    """Code arrays of any dtype: arrays of one element size together, small sizes first."""
    coded = Pieces()
    for itemsize in sorted({array.dtype.itemsize for array in arrays}):
        members = [_words(array) for array in arrays if array.dtype.itemsize == itemsize]
        turned = False
        if itemsize in _TURNED:
            # A sample shows whether bytes have less entropy with the sign bit last.
            sample = np.concatenate([spread(words) for words in members])
            turned = _entropy_bits(_turned(sample)) < _entropy_bits(sample)
            coded += bytes([turned])
        for one in in_order(partial(_written, turned=turned), blocks_of(members, BLOCK)):
            coded += one
    return coded


def _words(array: Array) -> Array:
    """Return the elements as unsigned words, elements of 16 bytes as rows of two words."""
    itemsize = array.dtype.itemsize
    flat = np.ascontiguousarray(array).reshape(-1)
    if itemsize in (1, *_TURNED):
        return flat.view(f"<u{itemsize}")
    return flat.view("<u8").reshape(-1, itemsize // 8)


def _entropy_bits(words: Array) -> float:
    planes = [_plane(words, byte) for byte in range(words.dtype.itemsize)]
    return sum(entropy_bits(byte_counts(plane)) for plane in planes)


def _turned(words: Array) -> Array:
    """Return words with their bits rotated left by one: exponent first, sign last."""
    turned: Array = words << 1
    turned |= words >> (8 * words.dtype.itemsize - 1)
    return turned


def _plane(words: Array, byte: int) -> Bytes:
    return (words >> 8 * byte).astype(np.uint8)


def _written(block: Block, *, turned: bool) -> Pieces:
    """Code the bytes of words, or of rows of words, by significance, the lowest first."""
    parts = [words[first:last] for words, first, last in block]
    if parts[0].ndim == 1:
        return _write_words(parts, turned)
    coded = Pieces()
    for at in range(parts[0].shape[1]):
        coded += _write_words([np.ascontiguousarray(part[:, at]) for part in parts], turned)
    return coded


def _write_words(parts: Sequence[Array], turned: bool) -> Pieces:
    some = spread(*parts)
    some = _turned(some) if turned else some
    samples = [_plane(some, byte) for byte in range(some.dtype.itemsize)]

    def write(planes: Mapping[int, Bytes]) -> None:
        at = 0
        for words in parts:
            for byte, plane in planes.items():
                _plane_to(words, byte, turned, plane[at : at + len(words)])
            at += len(words)

    return write_byte_planes(sum(map(len, parts)), samples, write)


def _plane_to(words: Array, byte: int, turned: bool, plane: Bytes) -> None:
    loops = compiled.kernels()
    if loops is not None and words.dtype.itemsize == 2:
        loops.word_plane(words, int(turned), byte, plane)
    else:
        plane[:] = _plane(_turned(words) if turned else words, byte)


def read_planes(reader: ByteReader, specs: Sequence[ArraySpec]) -> list[Array]:
    """Read back what ``write_planes`` wrote; arrays of one element size share a buffer."""
    arrays: dict[int, Array] = {}
    for itemsize in sorted({spec.dtype.itemsize for spec in specs}):
        members = [at for at, spec in enumerate(specs) if spec.dtype.itemsize == itemsize]
        total = sum(specs[at].size for at in members)
        rows: np.ndarray[Any, np.dtype[np.uint8]] = np.empty((total, itemsize), np.uint8)
        turned = reader.byte() if itemsize in _TURNED else 0
        if turned > 1:
            raise PayloadError(f"bytes of {itemsize} are turned by {turned}; 0 or 1 is possible")
        for start in range(0, total, BLOCK):
            _read_block(reader, rows[start : start + BLOCK], turned)
        row = 0
        for at in members:
            spec = specs[at]
            flat = rows[row : row + spec.size].reshape(-1)
            arrays[at] = flat.view(spec.dtype).reshape(spec.shape)
            row += spec.size
    return [arrays[at] for at in range(len(specs))]


def _read_block(reader: ByteReader, block: Array, turned: int) -> None:
    """Read the bytes of elements, uint8, shape (n, bytes of an element)."""
    count, itemsize = block.shape
    planes = [read_stream(reader, count) for _ in range(itemsize)]
    loops = compiled.kernels()
    if loops is not None and itemsize == 2:
        loops.join_words(*planes, turned, block.reshape(-1).view("<u2"))
        return
    for byte, plane in enumerate(planes):
        block[:, byte] = plane
    if turned:
        words = block.reshape(-1).view(f"<u{itemsize}")
        last = words << (8 * itemsize - 1)
        words >>= 1
        words |= last
