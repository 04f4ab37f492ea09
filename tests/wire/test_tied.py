"""Arrays that are equal bit for bit travel once."""

import numpy as np
import pytest

from flwr_gan.errors import PayloadError
from flwr_gan.wire import Template, decode_payload, encode_payload
from flwr_gan.wire.codecs import codec_names
from flwr_gan.wire.codecs.sparse.streams import write_stream
from flwr_gan.wire.table import Entry, read_table, write_table
from flwr_gan.wire.tied import find_tied

RNG = np.random.default_rng(0)
EMBEDDING = RNG.normal(size=(50, 24)).astype(np.float32)
OTHER = RNG.normal(size=(50, 24)).astype(np.float32)

SPECS = [*codec_names(), "sparse:pcodec", "auto", "sparse:int8", "quantize:int4:channel+zlib"]


@pytest.mark.parametrize("spec", SPECS)
def test_two_names_of_one_tensor_cost_one(spec):
    tied = {"wte": EMBEDDING, "other": OTHER, "head": EMBEDDING.copy(), "again": EMBEDDING}
    once = {"wte": EMBEDDING, "other": OTHER}
    payload = encode_payload(tied, codec=spec)
    assert len(payload) <= len(encode_payload(once, codec=spec)) + 40
    decoded = decode_payload(payload)
    assert list(decoded) == list(tied)
    for name in ("head", "again"):
        assert decoded[name].tobytes() == decoded["wte"].tobytes()
    assert np.array_equal(decoded["wte"], EMBEDDING) == ("int" not in spec)
    decoded["head"][:] = 0
    assert decoded["wte"].any()
    assert decoded["again"].any()


def test_a_base_serves_tied_arrays():
    held = {"wte": EMBEDDING, "other": OTHER, "head": EMBEDDING}
    moved = {name: array * np.float32(1.001) for name, array in held.items()}
    for spec in ("sparse", "sparse:int8"):
        payload = encode_payload(moved, codec=spec, base=held)
        decoded = decode_payload(payload, base=held)
        assert decoded["wte"].tobytes() == decoded["head"].tobytes()
        assert np.allclose(decoded["wte"], moved["wte"], atol=1e-2)


def test_only_what_is_equal_in_every_bit_is_tied():
    zero, negative = np.zeros(32, np.float32), np.full(32, -0.0, np.float32)
    nan = np.full(32, np.nan, np.float32)
    arrays = [
        EMBEDDING,
        EMBEDDING.T.copy(),
        EMBEDDING.astype(">f4"),
        EMBEDDING.view(np.int32),
        np.where(np.arange(1200).reshape(50, 24) == 1187, np.float32(9), EMBEDDING),
        zero,
        negative,
        nan,
        EMBEDDING,
        nan.copy(),
        negative.copy(),
        zero.copy(),
        np.float32([1, 2]),
        np.float32([1, 2]),
        np.empty((0, 9), np.float32),
        np.empty((0, 9), np.float32),
    ]
    tied = find_tied(arrays, zeros=False)
    assert {at: first for at, first in enumerate(tied) if first is not None} == {8: 0, 9: 7, 10: 6}
    assert find_tied(arrays, zeros=True)[11] == 5


def test_zeros_take_no_table_but_for_raw():
    arrays = {"a": np.zeros((20, 20), np.float32), "b": np.zeros((20, 20), np.float32)}
    assert len(encode_payload(arrays, codec="raw")) < 1700
    for spec in ("sparse", "sparse:int8", "zlib"):
        assert len(encode_payload(arrays, codec=spec)) < 60
        assert not any(array.any() for array in decode_payload(encode_payload(arrays)).values())


def test_many_alike_are_not_compared_with_each_other():
    rng = np.random.default_rng(1)
    arrays = [np.zeros(1000, np.float32) for _ in range(300)]
    for at, array in enumerate(arrays):
        array[rng.integers(1000)] = at % 150 + 1
    tied = find_tied(arrays, zeros=False)
    for at, first in enumerate(tied):
        alike = [other for other in range(at) if np.array_equal(arrays[other], arrays[at])]
        assert first == (alike[0] if alike else None)


TEMPLATE = Template.of({"a": EMBEDDING, "b": EMBEDDING, "c": EMBEDDING, "d": OTHER.T})


def table(codes, *indices):
    return bytes(write_stream([np.array(codes, np.uint8)])) + bytes(indices)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (table([3, 0, 0, 0], 0), "array a cannot travel"),
        (table([0, 3, 0, 0]), "truncated"),
        (table([0, 3, 0, 0], 1), "at most 0"),
        (table([0, 3, 3, 0], 0, 1), "array c is the same as one that is unlike"),
        (table([0, 0, 0, 3], 0), "array d is the same as one that is unlike"),
        (table([0, 7, 0, 0], 0), "array b cannot travel"),
        (table([0, 3, 0, 0], 0, 0), "1 bytes too many"),
        (table([0, 0, 0, 0]), "says nothing"),
        (table([0, 3, 0], 0), "3 bytes in the place of 4"),
        (table([0, 3, 0, 0, 0], 0), "5 bytes in the place of 4"),
        (b"\x02", "truncated"),
        (b"\x03", "does not know"),
    ],
)
def test_forged_tables_are_refused(data, said):
    with pytest.raises(PayloadError, match=said):
        read_table(data, TEMPLATE, lossy=False, has_base=False)


def test_a_table_comes_back():
    entries = [
        Entry(exact=True),
        Entry(3, same_as=0),
        Entry(no_base=True, non_negative=True),
        Entry(),
    ]
    data = write_table(entries)
    assert read_table(data, TEMPLATE, lossy=True, has_base=True) == entries
    assert write_table([Entry()] * 4) == b""
    assert read_table(b"", TEMPLATE, lossy=True, has_base=True) == [Entry()] * 4


@pytest.mark.parametrize(
    ("code", "dtype", "lossy", "has_base"),
    [
        (0x01, "<f4", True, True),  # float32 as float32
        (0x01, "<i4", True, True),
        (0x01, "<c8", True, True),
        (0x02, "<f4", True, True),  # corrections are for float64
        (0x02, "<f2", True, True),
        (0x04, "<f4", False, True),  # exact without stages
        (0x04, "<i4", True, True),
        (0x08, "<f4", True, False),  # no base where there is none
        (0x08, "<f8", True, True),  # nor for what is no weight array
        (0x10, "<f4", False, True),
        (0x10, "<f8", True, True),
        (0x14, "<f4", True, True),
        (0x20, "<f4", True, True),
        (0x80, "<f4", True, True),
    ],
)
def test_entries_that_do_not_fit_an_array_are_refused(code, dtype, lossy, has_base):
    template = Template.of({"w": np.zeros(3, dtype)})
    with pytest.raises(PayloadError, match=f"array w cannot travel as its entry {code} says"):
        read_table(table([code]), template, lossy=lossy, has_base=has_base)
