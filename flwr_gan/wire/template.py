"""The template, known to both sides before any payload: names, shapes and dtypes in order."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire.codecs.arrays import MAX_DIMS, MAX_ELEMENTS, WIRE_TYPES, ArraySpec
from flwr_gan.wire.codecs.varint import ByteReader, write_varint
from flwr_gan.wire.inputs import as_array

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
    def of(cls, arrays: Mapping[str, Any]) -> "Template":
        """Return the template of named arrays.

        Parameters
        ----------
        arrays : mapping of str to numpy.ndarray, torch.Tensor or array_like
            As for ``flwr_gan.wire.encode_payload``.

        Raises
        ------
        CodecError
            If a name is not a string, or a value is no array that can be coded.
        """
        specs = []
        for name, value in arrays.items():
            check_name(name)
            array = as_array(value, name)
            specs.append(ArraySpec(array.shape, array.dtype))
        return cls(tuple(arrays), tuple(specs))

    @cached_property
    def hash(self) -> bytes:
        """The first 8 bytes of SHA-256 over the serialised template."""
        return hashlib.sha256(self.to_bytes()).digest()[:HASH_BYTES]

    @cached_property
    def parameters(self) -> int:
        """Total number of elements of all arrays."""
        return sum(spec.size for spec in self.specs)

    @cached_property
    def nbytes(self) -> int:
        """Total bytes of all decoded arrays."""
        return sum(spec.nbytes for spec in self.specs)

    def to_bytes(self) -> bytes:
        """Return the template as bytes: a count, then name, dtype and shape of each array."""
        coded = bytearray(write_varint(len(self.names)))
        for name, spec in zip(self.names, self.specs, strict=True):
            encoded = name.encode()
            little = spec.dtype.newbyteorder("<")
            is_big = spec.dtype != little
            coded += write_varint(len(encoded)) + encoded
            coded.append(WIRE_TYPES.index(little.str) | (_BIG_ENDIAN if is_big else 0))
            coded.append(len(spec.shape))
            coded += b"".join(map(write_varint, spec.shape))
        return bytes(coded)

    @classmethod
    def from_bytes(cls, data: bytes | memoryview) -> "Template":
        """Read the output of ``to_bytes``, or raise ``PayloadError``."""
        reader = ByteReader(data, what="template")
        # An array takes at least three bytes, which bounds the count before allocation.
        count = reader.varint(limit=min(MAX_ARRAYS, len(data)))
        names: dict[str, None] = {}
        specs = []
        for _ in range(count):
            raw_name = bytes(reader.take(reader.varint(limit=MAX_NAME_BYTES)))
            try:
                name = raw_name.decode()
            except UnicodeDecodeError as error:
                raise PayloadError("template has a name that is not UTF-8") from error
            if name in names:
                raise PayloadError("template has two arrays of the same name")
            names[name] = None
            code = reader.byte()
            number = code & ~_BIG_ENDIAN
            if number >= len(WIRE_TYPES):
                raise PayloadError(f"template has dtype number {number}, which is unknown")
            dtype = np.dtype(WIRE_TYPES[number])
            if code & _BIG_ENDIAN:
                if dtype.newbyteorder(">") == dtype:
                    raise PayloadError("template has a byte order for a type without one")
                dtype = dtype.newbyteorder(">")
            dims = reader.byte()
            if dims > MAX_DIMS:
                raise PayloadError(f"template has an array of {dims} axes; at most {MAX_DIMS}")
            shape = tuple(reader.varint(limit=MAX_ELEMENTS) for _ in range(dims))
            specs.append(ArraySpec(shape, dtype))
        reader.finish()
        return cls(tuple(names), tuple(specs))


def check_name(name: Any) -> None:
    """Raise ``CodecError`` if this cannot be the name of an array."""
    if not isinstance(name, str):
        raise CodecError(f"array name {name!r} is not a string")
    try:
        length = len(name.encode())
    except UnicodeEncodeError as error:
        raise CodecError(f"array name {name!r} is not valid Unicode") from error
    if length > MAX_NAME_BYTES:
        raise CodecError(f"array name of {length} bytes; at most {MAX_NAME_BYTES}")
