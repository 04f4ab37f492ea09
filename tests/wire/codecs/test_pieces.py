"""Pieces are the bytes that their parts are."""

import zlib

import pytest

from flwr_gan.wire.codecs.pieces import Deferred, Pieces, write_piece
from flwr_gan.wire.header import seal


def deferred(data):
    def write(view):
        view[:] = data

    return Deferred(len(data), write)


def test_pieces_join():
    pieces = Pieces([b"ab", memoryview(b"cd"), Pieces([b"", deferred(b"efg")])])
    assert len(pieces) == 7
    pieces += b"h"
    pieces += Pieces([b"i", Pieces()])
    assert bytes(pieces) == b"abcdefghi"
    assert len(pieces) == 9
    assert bytes(Pieces()) == b""
    assert len(Pieces()) == 0


def test_what_is_taken_is_gone():
    pieces = Pieces([b"ab", b"c", deferred(b"de")])
    view = memoryview(bytearray(5))
    at = 0
    for piece in pieces.taken():
        at = write_piece(piece, view, at)
    assert bytes(view) == b"abcde"
    assert bytes(pieces) == b""
    assert len(pieces) == 0


def test_adding_pieces_does_not_change_them():
    part = Pieces([b"ab"])
    whole = Pieces([part, part])
    whole += b"c"
    assert bytes(part) == b"ab"
    assert bytes(whole) == b"ababc"


def test_a_seal_is_the_checksum_of_all():
    sealed = seal(b"FGN", memoryview(b"x"), Pieces([b"yz", deferred(b"!")]))
    assert sealed == b"FGNxyz!" + zlib.crc32(b"FGNxyz!").to_bytes(4, "little")


def test_a_piece_must_fit():
    with pytest.raises(ValueError, match="memoryview assignment"):
        write_piece(b"abc", memoryview(bytearray(2)), 0)
