"""Byte streams of known length: stored, constant or Huffman-coded, whichever is shortest."""

import zlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from flwr_gan.codecs.sparse.bits import Bytes
from flwr_gan.codecs.sparse.huffman import coded_bits, huffman_deflate, total_counts
from flwr_gan.codecs.varint import ByteReader, write_varint
from flwr_gan.errors import PayloadError

STORED, CONSTANT, HUFFMAN = 0, 1, 2
"""Ways of coding a stream; the two low bits of its leading number (permanent)."""


def write_stream(sections: Sequence[Bytes]) -> bytes:
    """Return the sections, joined, as one stream; nothing at all if they are empty.

    Parameters
    ----------
    sections : sequence of numpy.ndarray of uint8
        The bytes, divided where their statistics may change.
    """
    sections = [section for section in sections if len(section)]
    if not sections:
        return b""
    count = sum(map(len, sections))
    counts = total_counts(sections)
    if counts.max() == count:
        return write_varint(1 << 2 | CONSTANT) + bytes([int(counts.argmax())])
    if coded_bits(counts) < 8 * count or len(sections) > 1:
        coded = huffman_deflate(sections)
        if len(coded) < count:
            return write_varint(len(coded) << 2 | HUFFMAN) + coded
    return write_varint(count << 2 | STORED) + b"".join(part.tobytes() for part in sections)


def read_stream(reader: ByteReader, count: int) -> Bytes:
    """Take a stream of ``count`` (1 or more) bytes off ``reader``, all of it."""
    stream = open_stream(reader)
    data = stream.read(count)
    stream.finish()
    return np.frombuffer(data, np.uint8)


class Stream(Protocol):
    """Gives the bytes of a stream in order."""

    def read(self, count: int) -> bytes:
        """Return the next ``count`` bytes, or raise ``PayloadError`` if there are fewer."""

    def finish(self) -> None:
        """Raise ``PayloadError`` if bytes are left."""


def open_stream(reader: ByteReader, *, empty: bool = False) -> Stream:
    """Take a stream off ``reader``; ``empty`` says that it has no bytes and was not written."""
    if empty:
        return _Stored(b"")
    lead = reader.varint(limit=reader.left << 2 | 3)
    data = bytes(reader.take(lead >> 2))
    if lead & 3 == STORED:
        return _Stored(data)
    if lead & 3 == CONSTANT:
        return _Constant(data)
    if lead & 3 == HUFFMAN:
        return _Huffman(data)
    raise PayloadError("a stream is coded in a way that this version does not know")


class _Stored:
    def __init__(self, data: bytes) -> None:
        self._reader = ByteReader(data, what="stored stream")

    def read(self, count: int) -> bytes:
        return bytes(self._reader.take(count))

    def finish(self) -> None:
        self._reader.finish()


class _Constant:
    def __init__(self, data: bytes) -> None:
        if len(data) != 1:
            raise PayloadError("a constant stream must hold exactly one byte")
        self._byte = data

    def read(self, count: int) -> bytes:
        return self._byte * count

    def finish(self) -> None:
        pass


class _Huffman:
    def __init__(self, data: bytes) -> None:
        self._object = zlib.decompressobj(wbits=-15)
        self._pending = data

    def read(self, count: int) -> bytes:
        if not count:
            return b""
        piece = self._inflate(count)
        if len(piece) != count:
            raise PayloadError("a Huffman stream ends early")
        return piece

    def finish(self) -> None:
        if self._inflate(1):
            raise PayloadError("a Huffman stream holds more bytes than there should be")
        if not self._object.eof:
            raise PayloadError("a Huffman stream is truncated")
        if self._object.unused_data:
            raise PayloadError("a Huffman stream has bytes behind its end")

    def _inflate(self, count: int) -> bytes:
        try:
            piece = self._object.decompress(self._pending, count)
        except zlib.error as error:
            raise PayloadError(f"a Huffman stream is damaged: {error}") from error
        self._pending = self._object.unconsumed_tail
        return piece
