"""Whole numbers of any size in as few bytes as they need: unsigned LEB128."""

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs.pieces import Pieces


def write_varint(value: int) -> bytes:
    """Return ``value`` (0 or more) in groups of 7 bits, lowest first; the last has no top bit."""
    coded = bytearray()
    while value > 127:
        coded.append(value & 127 | 128)
        value >>= 7
    coded.append(value)
    return bytes(coded)


class ByteReader:
    """Reads a byte string from the front, never past its end; ``what`` names it in errors."""

    def __init__(self, data: bytes | memoryview | Pieces, *, what: str) -> None:
        self._data = memoryview(bytes(data) if isinstance(data, Pieces) else data)
        self._length = len(self._data)
        self._at = 0
        self._what = what

    @property
    def left(self) -> int:
        """Number of bytes not yet read."""
        return self._length - self._at

    def take(self, count: int) -> memoryview:
        """Return the next ``count`` bytes; ``PayloadError`` if there are fewer."""
        start, end = self._at, self._at + count
        if end > self._length:
            raise PayloadError(f"{self._what} is truncated: {count} bytes wanted, {self.left} left")
        self._at = end
        return self._data[start:end]

    def byte(self) -> int:
        """Return the next byte as a number."""
        at = self._at
        if at == self._length:
            raise PayloadError(f"{self._what} is truncated: 1 bytes wanted, 0 left")
        self._at = at + 1
        return self._data[at]

    def varint(self, *, limit: int) -> int:
        """Return the next varint; ``PayloadError`` if over ``limit`` or not in shortest form."""
        value = shift = 0
        while True:
            group = self.byte()
            value |= (group & 127) << shift
            if group < 128:
                break
            shift += 7
            if shift > 63:
                raise PayloadError(f"{self._what} holds a number of more than 64 bits")
        if shift and not group:
            raise PayloadError(f"{self._what} holds a number with superfluous zero bits")
        if value > limit:
            raise PayloadError(f"{self._what} holds {value} where at most {limit} is possible")
        return value

    def rest(self) -> memoryview:
        """Return all bytes that are left."""
        return self.take(self.left)

    def finish(self) -> None:
        """Raise ``PayloadError`` if bytes are left."""
        if self.left:
            raise PayloadError(f"{self._what} has {self.left} bytes too many")
