"""Packing of a small message into one record.

Flower's transport adds about 200 bytes per record of a message and 300 per array, more than a
compressed update takes. So the records of a small message are sent as the bytes of one record.
"""

import json
import struct
import zlib
from collections.abc import Iterable
from typing import Any, cast

from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from flwr_gan.errors import PayloadError
from flwr_gan.flower.notes import NOTE
from flwr_gan.flower.records import is_payload, payload_record, payloads_of
from flwr_gan.wire.codecs.varint import ByteReader, write_varint

MOST_BYTES = 1 << 20
"""Maximum bytes of the payloads of a packed message; above it, packing saves below 1 %.

On real nodes each record takes one or two requests of about a kilobyte each.
"""

_BLOB, _KEY = "p", ""
_MOST_WORDS = 1 << 20
_DOUBLE = struct.Struct("<d")
_KINDS = {"a": ArrayRecord, "c": ConfigRecord, "m": MetricRecord}
_USUAL = (
    b'[["fitres.parameters","a",{"":0}],["fitres.num_examples","m",{"num_examples":100}],'
    b'["fitres.metrics","c",{"loss":null}],["fitres.status","c",{"code":0,"message":""}],'
    b'["evaluateins.parameters","a",["evaluateins.config","c",["metrics","m",["arrays","a",'
    b'["config","c",{"server-round":1}],["fitins.parameters","a",{"":0}],["fitins.config","c",{}],'
    b'["flwr_gan.wire","c",{"codec":"sparse","keep":"values","template":"","opaque":"}],'
    b'["flwr_gan.wire","c",{"":{"":13}}]]'
)
"""Preset dictionary for deflate: words of usual messages, the most frequent last."""


def packed(content: RecordDict) -> RecordDict:
    """Return a message's content as one record; unchanged if large or with other arrays.

    Its length does not depend on the values of floats and bytes, so that equal runs have equal
    bytes.
    """
    arrays = content.array_records.values()
    if not all(map(is_payload, arrays)) or _payload_bytes(arrays) >= MOST_BYTES:
        return content
    data = bytearray()
    words = []
    for name, record in content.items():
        kind = next(letter for letter, of in _KINDS.items() if isinstance(record, of))
        values = _payloads(record) if isinstance(record, ArrayRecord) else dict(record)
        words.append([name, kind, {key: _word(value, data) for key, value in values.items()}])
    text = json.dumps(words, separators=(",", ":"), ensure_ascii=False).encode()
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, _USUAL)
    head = deflate.compress(text) + deflate.flush()
    blob = write_varint(len(head)) + head + bytes(data)
    return RecordDict({NOTE: ConfigRecord({_BLOB: blob})})


def unpacked(content: RecordDict) -> RecordDict:
    """Undo ``packed``; return other messages' records unchanged; or raise ``PayloadError``."""
    record = content.config_records.get(NOTE)
    blob = None if record is None or len(content) != 1 else record.get(_BLOB)
    if not isinstance(blob, bytes):
        return content
    reader = ByteReader(blob, what="a packed message")
    head = bytes(reader.take(reader.varint(limit=reader.left)))
    try:
        inflate = zlib.decompressobj(-15, _USUAL)
        text = inflate.decompress(head, _MOST_WORDS)
        if not inflate.eof or inflate.unused_data:
            raise PayloadError("a packed message is damaged")
        records: dict[str, ArrayRecord | ConfigRecord | MetricRecord] = {}
        for name, kind, words in json.loads(text):
            values = {key: _value(word, reader) for key, word in words.items()}
            if kind == "a":
                found = values[_KEY]
                first, *others = found if isinstance(found, list) else [found]
                records[name] = payload_record(first, *others)
            else:
                records[name] = cast(Any, _KINDS[kind])(values)
    except (zlib.error, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise PayloadError(f"a packed message is damaged: {error}") from error
    reader.finish()
    return RecordDict(records)


def _payload_bytes(records: Iterable[ArrayRecord]) -> int:
    return sum(len(payload) for record in records for payload in payloads_of(record))


def _payloads(record: ArrayRecord) -> dict[str, Any]:
    """Return the payload of a record as a value, several as a list."""
    first, *others = payloads_of(record)
    return {_KEY: [first, *others] if others else first}


def _word(value: Any, data: bytearray) -> Any:
    """Return a value as JSON; floats and bytes are placeholders and are added to ``data``."""
    if isinstance(value, list):
        return [_word(item, data) for item in value]
    if isinstance(value, bytes):
        data += value
        return {_KEY: len(value)}
    if isinstance(value, float):
        data += _DOUBLE.pack(value)
        return None
    return value


def _value(word: Any, reader: ByteReader) -> Any:
    if isinstance(word, list):
        return [_value(item, reader) for item in word]
    if isinstance(word, dict):
        length = word[_KEY]
        if not isinstance(length, int) or not 0 <= length <= reader.left:
            raise PayloadError("a packed message is damaged: it holds fewer bytes than it says")
        return bytes(reader.take(length))
    return _DOUBLE.unpack(reader.take(_DOUBLE.size))[0] if word is None else word
