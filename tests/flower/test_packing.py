"""A small message travels as one record: what comes back, what it weighs, what is refused."""

import zlib

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from hypothesis import given, settings
from hypothesis import strategies as st

from flwr_gan.errors import PayloadError
from flwr_gan.flower.notes import NOTE, ReplyNote
from flwr_gan.flower.packing import _USUAL, MOST_BYTES, packed, unpacked
from flwr_gan.flower.records import message_bytes, payload_record
from flwr_gan.wire.codecs.varint import write_varint

numbers = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats())
values = st.one_of(numbers, st.booleans(), st.text(max_size=9), st.binary(max_size=9))
lists = st.one_of(
    st.lists(st.integers(-9, 2**60), max_size=4),
    st.lists(st.floats(), max_size=4),
    st.lists(st.text(max_size=5), max_size=4),
    st.lists(st.binary(max_size=5), max_size=4),
)
keys = st.text(max_size=9)


@st.composite
def contents(draw):
    """Return the content of a message: payloads, configs and metrics."""
    content = RecordDict()
    for name in draw(st.lists(keys, max_size=4, unique=True)):
        kind = draw(st.sampled_from("acm"))
        if kind == "a":
            payloads = st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=3)
            content[name] = payload_record(*draw(payloads))
        elif kind == "c":
            content[name] = ConfigRecord(draw(st.dictionaries(keys, values | lists, max_size=4)))
        else:
            content[name] = MetricRecord(draw(st.dictionaries(keys, numbers, max_size=4)))
    return content


@pytest.mark.long
@given(contents())
@settings(max_examples=60, deadline=None)
def test_any_message_comes_back(content):
    small = packed(content)
    assert list(small) == [NOTE]
    again = unpacked(small)
    assert list(again) == list(content)
    for name, record in content.items():
        assert type(again[name]) is type(record)
        assert again[name].deflate() == record.deflate()


def usual(loss=1.5, payload=b"x" * 700):
    return RecordDict(
        {
            "fitres.parameters": payload_record(payload),
            "fitres.num_examples": MetricRecord({"num_examples": 312}),
            "fitres.metrics": ConfigRecord({"loss": loss}),
            "fitres.status": ConfigRecord({"code": 0, "message": "Success"}),
            NOTE: ConfigRecord({"": bytes(13)}),
        }
    )


def test_a_usual_reply_weighs_little_beside_its_payload():
    assert message_bytes(usual()) > 700 + 1100
    assert message_bytes(packed(usual())) < 700 + 300


def test_floats_and_bytes_do_not_change_the_weight():
    assert message_bytes(packed(usual(0.1))) == message_bytes(packed(usual(1e300)))


def test_large_messages_and_other_arrays_travel_as_they_are():
    for content in (usual(payload=bytes(MOST_BYTES)), RecordDict({"a": ArrayRecord([np.ones(3)])})):
        assert packed(content) is content
        assert unpacked(content) is content


def blob(words, data=b""):
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, _USUAL)
    head = deflate.compress(words) + deflate.flush()
    return write_varint(len(head)) + head + data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\5ab",
        blob(b"["),
        blob(b"{}", b"a"),
        blob(b"[1]"),
        blob(b'[["a","x",{}]]'),
        blob(b'[["a","a",{}]]'),
        blob(b'[["a","a",{"":[]}]]'),
        blob(b'[["a","a",{"":[1]}]]'),
        blob(b'[["a","c",{"k":null}]]', b"1234567"),
        blob(b'[["a","c",{"k":{"":9}}]]', b"12"),
        blob(b'[["a","c",{"k":{"":-1}}]]'),
        blob(b'[["a","c",{"k":{}}]]'),
        blob(b'[["a","c",{"k":true}]]', b"more"),
        blob(b"[" + b" " * (2 << 20) + b"]"),
        blob(b"[" * 100_000),
        blob(b"[]")[:-1],
    ],
)
def test_damaged_messages_are_refused(data):
    with pytest.raises(PayloadError, match="a packed message"):
        unpacked(RecordDict({NOTE: ConfigRecord({"p": data})}))


@pytest.mark.parametrize(
    "note",
    [
        {"": b""},
        {"": bytes(12)},
        {"": bytes(12) + b"[" * 100_000},
        {"": bytes(12) + b"true"},
        {"": "text"},
        {"": bytes(12) + b"3", "opaque": "[" * 100_000},
        {"": bytes(12) + b"3", "opaque": '{"a": {"b": ["", [Infinity], ""]}}'},
    ],
)
def test_a_malformed_note_is_refused(note):
    with pytest.raises(PayloadError, match="malformed note"):
        ReplyNote.from_record(ConfigRecord(note))
