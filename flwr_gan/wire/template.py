"""What both sides know of the arrays before any payload: names, shapes and dtypes, in order."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from flwr_gan.codecs.arrays import DTYPES, MAX_DIMS, MAX_ELEMENTS, Array, ArraySpec, check_encodable
from flwr_gan.codecs.varint import ByteReader, write_varint
from flwr_gan.errors import CodecError, PayloadError

HASH_BYTES = 8
MAX_ARRAYS = 1 << 20
MAX_NAME_BYTES = 1 << 12

_BIG_ENDIAN = 0x80


@dataclass(frozen=True)
class Template:
    """Names, shapes and dtypes of arrays.

    Parameters
    ----------
    names : tuple of str
        Names, all different.
    specs : tuple of ArraySpec
        Shape and dtype of each.
    """

    names: tuple[str, ...]
    specs: tuple[ArraySpec, ...]

    @classmethod
    def of(cls, arrays: Mapping[str, npt.ArrayLike]) -> "Template":
        """Return the template of named arrays.

        Raises
        ------
        CodecError
            If a name is not a string, or an array has a dtype that cannot be coded.
        """
        specs = []
        for name, value in arrays.items():
            if not isinstance(name, str):
                raise CodecError(f"array name {name!r} is not a string")
            try:
                length = len(name.encode())
            except UnicodeEncodeError as error:
                raise CodecError(f"array name {name!r} is not valid Unicode") from error
            if length > MAX_NAME_BYTES:
                raise CodecError(f"array name of {length} bytes; at most {MAX_NAME_BYTES}")
            array = check_encodable(np.asarray(value), name)
            specs.append(ArraySpec(array.shape, array.dtype))
        return cls(tuple(arrays), tuple(specs))

    @cached_property
    def hash(self) -> bytes:
        """The first 8 bytes of SHA-256 over the serialised template."""
        return hashlib.sha256(self.to_bytes()).digest()[:HASH_BYTES]

    @cached_property
    def parameters(self) -> int:
        """Number of elements of all arrays together."""
        return sum(spec.size for spec in self.specs)

    @cached_property
    def nbytes(self) -> int:
        """Bytes of all decoded arrays together."""
        return sum(spec.nbytes for spec in self.specs)

    def to_bytes(self) -> bytes:
        """Return the template as bytes: a count, then name, dtype and shape of each array."""
        coded = bytearray(write_varint(len(self.names)))
        for name, spec in zip(self.names, self.specs, strict=True):
            encoded = name.encode()
            little = spec.dtype.newbyteorder("<")
            is_big = spec.dtype != little
            coded += write_varint(len(encoded)) + encoded
            coded.append(DTYPES.index(little.str) | (_BIG_ENDIAN if is_big else 0))
            coded.append(len(spec.shape))
            coded += b"".join(map(write_varint, spec.shape))
        return bytes(coded)

    @classmethod
    def from_bytes(cls, data: bytes | memoryview) -> "Template":
        """Read back what ``to_bytes`` wrote, or raise ``PayloadError``."""
        reader = ByteReader(data, what="template")
        # An array takes three bytes at least, which bounds the count before anything is built.
        count = reader.varint(limit=min(MAX_ARRAYS, len(data)))
        names: list[str] = []
        specs = []
        for _ in range(count):
            raw_name = bytes(reader.take(reader.varint(limit=MAX_NAME_BYTES)))
            try:
                names.append(raw_name.decode())
            except UnicodeDecodeError as error:
                raise PayloadError("template has a name that is not UTF-8") from error
            code = reader.byte()
            number = code & ~_BIG_ENDIAN
            if number >= len(DTYPES):
                raise PayloadError(f"template has dtype number {number}, which is unknown")
            dtype = np.dtype(DTYPES[number])
            if code & _BIG_ENDIAN:
                if dtype.itemsize == 1:
                    raise PayloadError("template has a byte order for a type of one byte")
                dtype = dtype.newbyteorder(">")
            dims = reader.byte()
            if dims > MAX_DIMS:
                raise PayloadError(f"template has an array of {dims} axes; at most {MAX_DIMS}")
            shape = tuple(reader.varint(limit=MAX_ELEMENTS) for _ in range(dims))
            specs.append(ArraySpec(shape, dtype))
        reader.finish()
        if len(set(names)) != len(names):
            raise PayloadError("template has two arrays of the same name")
        return cls(tuple(names), tuple(specs))

    def arrays_in_order(self, arrays: Mapping[str, Array]) -> list[Array] | None:
        """Return the arrays of a mapping that has this very template, else None."""
        if tuple(arrays) != self.names:
            return None
        ordered = [np.asarray(array) for array in arrays.values()]
        for array, spec in zip(ordered, self.specs, strict=True):
            if array.shape != spec.shape or array.dtype != spec.dtype:
                return None
        return ordered
