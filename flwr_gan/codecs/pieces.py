"""Bytes in pieces, which are joined once, at the end."""

from collections.abc import Iterable, Iterator

Piece = bytes | memoryview


class Pieces:
    """Byte strings, one after the other.

    Parameters
    ----------
    pieces : iterable of bytes, memoryview or Pieces
        What it begins with.
    """

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

    def __iter__(self) -> Iterator[Piece]:
        return iter(self._pieces)

    def __bytes__(self) -> bytes:
        return b"".join(self._pieces)

    def taken(self) -> Iterator[Piece]:
        """Yield the pieces and forget each, so that its memory is free as soon as it is used."""
        self._pieces.reverse()
        self._length = 0
        while self._pieces:
            yield self._pieces.pop()
