"""Computes a message's bytes in Flower's transport without hashing its arrays.

Flower splits a message into objects: the content, its records, the arrays of a record, the chunks
of an array. Each is stored as a head, with its class and the hashes of the objects in it, and a
body; equal objects are stored once. The lengths of arrays are known without the bytes, and equal
chunks are found by comparing chunks of the same length; records of values are short and are
serialised by Flower.
"""

import json
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from flwr.app import Array, ArrayRecord, RecordDict

from flwr_gan.flower.flwr_private import (
    FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE,
    HEAD_BODY_DIVIDER,
    HEAD_VALUE_DIVIDER,
)

_HASH = "0" * 64


def message_bytes(content: RecordDict) -> int:
    """Return the bytes that Flower's transport stores for a message with this content.

    The sum of the lengths of the deflated objects: the content and everything nested in it, equal
    objects once.
    """
    stored = _Stored()
    records = []
    for name, record in content.items():
        if isinstance(record, ArrayRecord):
            arrays = tuple([(key, stored.array(array)) for key, array in record.items()])
            records.append((name, stored.add(("ArrayRecord", arrays), _referring_bytes)))
        else:
            records.append((name, stored.add((record.deflate(),), len)))
    return stored.total + _referring_bytes("RecordDict", tuple(records))


@dataclass
class _Stored:
    """The numbered objects of one message, and their total bytes."""

    total: int = 0
    _numbers: dict[Hashable, int] = field(default_factory=dict)
    _alike: dict[int, list[memoryview]] = field(default_factory=dict)

    def array(self, array: Array) -> int:
        """Store an array with its chunks; return its number."""
        view, size = memoryview(array.data), FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE
        chunks = tuple([self._chunk(view[at : at + size]) for at in range(0, len(view), size)])
        return self.add(("Array", array.dtype, array.shape, array.stype, chunks), _array_bytes)

    def _chunk(self, data: memoryview) -> int:
        alike = self._alike.setdefault(len(data), [])
        for place, other in enumerate(alike):
            if other == data:
                return self._numbers["ArrayChunk", len(data), place]
        alike.append(data)
        return self.add(("ArrayChunk", len(data), len(alike) - 1), _chunk_bytes)

    def add(self, key: tuple[Any, ...], length: Any) -> int:
        """Return the number of an object; count its length if it is new."""
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._numbers)
            self.total += length(*key)
        return number


def _object_bytes(name: str, children: int, body: int) -> int:
    """Return the length of an object: its class, the hashes of its children, its body."""
    hashes = max(0, children * (len(_HASH) + 1) - 1)
    head = len(name) + hashes + len(str(body)) + 2 * len(HEAD_VALUE_DIVIDER)
    return head + len(HEAD_BODY_DIVIDER) + body


def _chunk_bytes(name: str, length: int, place: int) -> int:
    return _object_bytes(name, 0, length)


@lru_cache(maxsize=1024)
def _array_bytes(
    name: str, dtype: str, shape: tuple[int, ...], stype: str, chunks: tuple[int, ...]
) -> int:
    different = list(dict.fromkeys(chunks))
    places = [different.index(chunk) for chunk in chunks]
    body = {"dtype": dtype, "shape": shape, "stype": stype, "arraychunk_ids": places}
    return _object_bytes(name, len(different), len(json.dumps(body)))


@lru_cache(maxsize=1024)
def _referring_bytes(name: str, parts: tuple[tuple[str, int], ...]) -> int:
    """Return the length of an object whose body gives the hash of each of its named parts."""
    body = json.dumps(dict.fromkeys((key for key, _ in parts), _HASH))
    return _object_bytes(name, len({number for _, number in parts}), len(body))
