"""Bytes in pieces, which are joined once, at the end."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Deferred:
    """A number of bytes that are written straight to their final place, without a copy."""

    length: int
    write: Callable[[memoryview], None]

    def __len__(self) -> int:
        return self.length


Piece = bytes | memoryview | Deferred


class Pieces:
    """Byte strings, one after the other."""

    def __init__(self, pieces: "Iterable[Piece | Pieces]" = ()) -> None:
        self._pieces: list[Piece] = []
        self._length = 0
        for piece in pieces:
            self += piece

    def __iadd__(self, other: "Piece | Pieces") -> "Pieces":
        if isinstance(other, Pieces):
            self._pieces += other._pieces
        else:
            self._pieces.append(other)
        self._length += len(other)
        return self

    def __len__(self) -> int:
        return self._length

    def __bytes__(self) -> bytes:
        joined = bytearray(self._length)
        with memoryview(joined) as view:
            at = 0
            for piece in self._pieces:
                at = write_piece(piece, view, at)
        return bytes(joined)

    def taken(self) -> Iterator[Piece]:
        """Yield the pieces and drop each one, so that its memory is freed after use."""
        self._pieces.reverse()
        self._length = 0
        while self._pieces:
            yield self._pieces.pop()


def write_piece(piece: Piece, view: memoryview, at: int) -> int:
    """Write a piece to ``view`` from ``at`` on; return its end."""
    end = at + len(piece)
    if isinstance(piece, Deferred):
        piece.write(view[at:end])
    else:
        view[at:end] = piece
    return end
