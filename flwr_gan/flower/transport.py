"""Computes a message's bytes in Flower's transport without serialising or hashing it.

Flower splits a message into objects: the content, its records, the arrays of a record, the chunks
of an array. Each is stored as a head, with its class and the hashes of the objects in it, and a
body; equal objects are stored once. The lengths are known without the bytes, and equal objects are
found by comparing objects of the same length.
"""

import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from flwr_gan.flower.flwr_private import (
    FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE,
    HEAD_BODY_DIVIDER,
    HEAD_VALUE_DIVIDER,
)

Values = Mapping[str, Any]
Kind = type[ConfigRecord] | type[MetricRecord]
Form = tuple[str, int, tuple["Form", ...]]  # of a value: type, length, forms of its items

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
            arrays = [
                (key, stored.array(a.dtype, a.shape, a.stype, a.data)) for key, a in record.items()
            ]
            records.append((name, stored.arrays(arrays)))
        else:
            records.append((name, stored.values(type(record), record)))
    return stored.total + _referring_bytes("RecordDict", tuple(records))


@dataclass
class _Stored:
    """The numbered objects of one message, and their total bytes."""

    total: int = 0
    _numbers: dict[Hashable, int] = field(default_factory=dict)
    _alike: dict[Hashable, list[Any]] = field(default_factory=dict)

    def array(self, dtype: str, shape: tuple[int, ...], stype: str, data: bytes) -> int:
        """Store an array with its chunks; return its number."""
        view, size = memoryview(data), FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE
        chunks = tuple([self._chunk(view[at : at + size]) for at in range(0, len(view), size)])
        return self._add(("Array", dtype, shape, stype, chunks), _array_bytes)

    def arrays(self, arrays: list[tuple[str, int]]) -> int:
        """Store a record of arrays, given by their numbers; return its number."""
        return self._add(("ArrayRecord", tuple(arrays)), _referring_bytes)

    def values(self, kind: Kind, values: Values) -> int:
        """Store a record of values; return its number."""
        form = tuple([(key, _form(value)) for key, value in values.items()])
        alike = self._alike.setdefault((kind, form), [])
        if alike:  # rare, so serialising is acceptable
            deflated = kind(dict(values)).deflate()
            for place, other in enumerate(alike):
                if kind(dict(other)).deflate() == deflated:
                    return self._numbers[kind, form, place]
        alike.append(values)
        return self._add((kind, form, len(alike) - 1), _values_bytes)

    def _chunk(self, data: memoryview) -> int:
        alike = self._alike.setdefault(len(data), [])
        for place, other in enumerate(alike):
            if other == data:
                return self._numbers["ArrayChunk", len(data), place]
        alike.append(data)
        return self._add(("ArrayChunk", len(data), len(alike) - 1), _chunk_bytes)

    def _add(self, key: tuple[Any, ...], length: Any) -> int:
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


@lru_cache(maxsize=1024)
def _values_bytes(kind: Kind, form: tuple[tuple[str, Form], ...], place: int) -> int:
    """Return the length of a record of values of this form."""
    return len(kind({key: _example(of_value) for key, of_value in form}).deflate())


def _form(value: Any) -> Form:
    """Return the form of a value, on which the length of its record depends."""
    if isinstance(value, bytes):
        return "bytes", len(value), ()
    if isinstance(value, str):
        return "str", len(value.encode()), ()
    if isinstance(value, bool):
        return "bool", 0, ()
    if isinstance(value, int):
        return "int", value, ()
    if isinstance(value, float):
        return "float", 0, ()
    return "list", 0, tuple(map(_form, value))


def _example(form: Form) -> Any:
    """Return a value of this form."""
    kind, length, items = form
    if kind == "list":
        return list(map(_example, items))
    if kind == "str":
        return " " * length
    return length if kind == "int" else {"bytes": bytes(length), "bool": False}.get(kind, 0.0)
