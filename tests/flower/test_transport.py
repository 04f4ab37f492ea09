"""A message weighs what Flower's own objects weigh, however alike its parts are."""

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from flwr.common import Code, FitIns, FitRes, Status, ndarrays_to_parameters
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from hypothesis import given, settings
from hypothesis import strategies as st

from flwr_gan.flower import transport
from flwr_gan.flower.flwr_private import fitins_to_recorddict, fitres_to_recorddict
from flwr_gan.flower.notes import Order, ReplyNote, put_note
from flwr_gan.flower.records import payload_record
from flwr_gan.flower.transport import message_bytes

names = st.text(max_size=4)
scalars = (
    st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=5)
)
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats()
lists = st.one_of([st.lists(of, max_size=3) for of in (st.booleans(), st.floats(), st.text())])
config = st.dictionaries(names, scalars | lists, max_size=3).map(ConfigRecord)
metrics = st.dictionaries(names, numbers, max_size=3).map(MetricRecord)
data = st.binary(max_size=200) | st.sampled_from([b"", b"a" * 100, b"b" * 100, b"a" * 64 + b"b"])
array = st.builds(
    Array,
    st.sampled_from(["", "float32"]),
    st.sampled_from([(), (3, 4)]),
    st.sampled_from(["numpy.ndarray", "flwr_gan.payload"]),
    data,
)
arrays = st.dictionaries(names, array, max_size=4).map(ArrayRecord)
contents = st.dictionaries(names, config | metrics | arrays, max_size=4).map(RecordDict)


def stored_by_flower(content: RecordDict) -> int:
    return sum(len(item.deflate()) for item in get_all_nested_objects(content).values())


@pytest.mark.long
@given(contents)
@settings(deadline=None)
def test_weighs_what_flower_stores(content):
    assert message_bytes(content) == stored_by_flower(content)


def test_equal_objects_are_stored_once():
    zeros, ones = Array(np.zeros(500, np.float32)), Array(np.ones(500, np.float32))
    same = ArrayRecord({"a": zeros, "b": ones, "c": Array(np.zeros(500, np.float32))})
    content = RecordDict(
        {
            "arrays": same,
            "again": ArrayRecord(dict(same)),
            "config": ConfigRecord({"x": 1, "y": True}),
            "more": ConfigRecord({"x": 1, "y": True}),
            "other": ConfigRecord({"x": 1, "y": False}),
            "metrics": MetricRecord({"x": 1}),
        }
    )
    assert message_bytes(content) == stored_by_flower(content) < 2 * 2128 + 2600


@pytest.mark.parametrize("size", [7, 40, 1 << 20])
def test_long_arrays_are_stored_in_chunks(monkeypatch, size):
    monkeypatch.setattr(transport, "FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE", size)
    monkeypatch.setattr("flwr.app.message.array.FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE", size)
    values = np.tile(np.arange(5, dtype=np.float32), 20)
    content = RecordDict({"arrays": ArrayRecord({"a": Array(values), "b": Array(values[:50])})})
    assert message_bytes(content) == stored_by_flower(content)


def test_arrays_are_not_hashed(monkeypatch):
    content = RecordDict({"a": ArrayRecord([np.ones(9)]), "m": MetricRecord({"x": 1.0})})
    monkeypatch.setattr("hashlib.sha256", lambda *_: pytest.fail("hashed"))
    assert message_bytes(content) > 9 * 8


def test_what_the_notes_add_to_a_message():
    """The figures of the README."""
    payload = bytes(range(250)) * 12
    nothing = ndarrays_to_parameters([])
    result = FitRes(Status(Code.OK, "Success"), nothing, 100, {})
    up = fitres_to_recorddict(result, keep_input=True)
    up.array_records["fitres.parameters"] = payload_record(payload)
    down = fitins_to_recorddict(FitIns(nothing, {"round": 3, "masked": True}), keep_input=True)
    down.array_records["fitins.parameters"] = payload_record(payload)
    bare = [message_bytes(content) - len(payload) for content in (up, down)]
    put_note(up, ReplyNote(label=3))
    put_note(down, Order(codec="sparse", keep="values"))
    noted = [message_bytes(content) - len(payload) for content in (up, down)]
    assert bare == [1057, 689]
    assert [a - b for a, b in zip(noted, bare, strict=True)] == [186, 204]
