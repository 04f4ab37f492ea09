"""Records and legacy parameters hold the bytes that numpy writes."""

from io import BytesIO

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord
from flwr.common import ndarray_to_bytes, ndarrays_to_parameters, parameters_to_ndarrays

from flwr_gan.flower.records import (
    arrays_to_parameters,
    arrays_to_record,
    npy_bytes,
    read_record,
    scattered_parameters,
    write_record,
)
from flwr_gan.wire import Base

ARRAYS = {
    "matrix": np.arange(12, dtype=np.float32).reshape(3, 4),
    "big-endian": np.arange(5, dtype=">f4"),
    "integers": np.arange(6, dtype=np.int16).reshape(1, 2, 3),
    "scalar": np.array(3.5),
    "empty": np.zeros((0, 4), np.float32),
    "columns first": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "every other": np.arange(12.0)[::2],
    "bools": np.array([True, False]),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_bytes_are_those_of_numpy_save(name):
    assert npy_bytes(ARRAYS[name]) == ndarray_to_bytes(ARRAYS[name])


@pytest.mark.parametrize("name", ARRAYS)
def test_records_are_flowers_and_come_back(name):
    array = ARRAYS[name]
    record = ArrayRecord({"a": Array(array), "legacy": Array("", (), "numpy.ndarray", b"")})
    record["legacy"].data = ndarray_to_bytes(array)
    for got in read_record(record)[0].values():
        np.testing.assert_array_equal(got, array, strict=True)
    own, flowers = arrays_to_record({"a": array})["a"], Array(array)
    assert (own.dtype, own.shape, own.data) == (flowers.dtype, flowers.shape, flowers.data)


def test_arrays_are_read_without_a_copy():
    record = arrays_to_record({"a": ARRAYS["matrix"]})
    (got,) = read_record(record)[0].values()
    held = np.frombuffer(record["a"].data, np.uint8)
    assert np.shares_memory(got, held)


OPAQUE = {
    "no data": Array("", (), "numpy.ndarray", b""),
    "no array": Array("", (), "numpy.ndarray", b"no array"),
    "truncated": Array("", (), "numpy.ndarray", ndarray_to_bytes(np.ones(4))[:-3]),
    "truncated after its magic": Array("", (), "numpy.ndarray", ndarray_to_bytes(np.ones(4))[:6]),
    "a booster": Array("", (), "", b'{"learner": 1}'),
    "another serialisation": Array("float32", (2, 1), "mine", b"12345678"),
    "text": Array(np.array(["a", "bc"])),
    "dates": Array(np.array(["2026-11-29"], "datetime64[D]")),
    "long doubles": Array(np.ones(3, np.longdouble)),
    "fields": Array(np.zeros(2, [("a", "<i4"), ("b", "<f4")])),
}


@pytest.mark.parametrize("name", OPAQUE)
def test_what_is_no_codable_array_passes_as_bytes(name):
    arrays, opaque = read_record(ArrayRecord({"x": Array(np.ones(2)), "o": OPAQUE[name]}))
    assert list(opaque) == ["o"]
    assert arrays["o"].dtype == np.uint8
    back = write_record(arrays, opaque)
    assert back["o"] == OPAQUE[name]


def test_the_order_of_an_array_is_kept():
    flowers = Array(ARRAYS["columns first"])
    arrays, opaque = read_record(ArrayRecord({"a": flowers}))
    travelled = {"a": np.ascontiguousarray(arrays["a"])}
    assert write_record(travelled, opaque)["a"] == flowers
    tensors = arrays_to_parameters(travelled, opaque)
    assert (tensors.tensors, tensors.tensor_type) == ([flowers.data], "numpy.ndarray")


def test_an_empty_record_stays_empty():
    assert dict(write_record(read_record(ArrayRecord())[0], name="arrays")) == {}
    placeholder = ArrayRecord({"_empty": Array("", (), "numpy.ndarray", b"")})
    back = write_record(read_record(placeholder)[0], name="fitins.parameters")
    assert dict(back) == dict(placeholder)


def test_a_bfloat16_is_written_as_numpy_writes_it():
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    for array in (np.array([1.5, -2], bfloat16), np.array(3, bfloat16)):
        flowers = Array(array)
        arrays, opaque = read_record(ArrayRecord({"a": flowers}))
        assert not opaque
        assert write_record(arrays)["a"] == flowers
        assert write_record({"a": array})["a"] == flowers


def test_other_versions_of_the_form_are_read():
    buffer = BytesIO()
    np.lib.format.write_array(buffer, np.ones(3), version=(2, 0))
    record = ArrayRecord({"a": Array("", (), "numpy.ndarray", buffer.getvalue())})
    np.testing.assert_array_equal(read_record(record)[0]["a"], np.ones(3))


@pytest.mark.parametrize("dtype", ["<f4", ">f4"])
def test_survivors_in_their_places_are_the_dense_parameters(dtype):
    rng = np.random.default_rng(0)
    held = {
        str(i): np.where(rng.random(shape) < 0.3, rng.normal(size=shape), 0).astype(dtype)
        for i, shape in enumerate([(7, 5), (0, 3), (4,), (2, 3, 4)])
    } | {"none": np.zeros((2, 2), dtype)}
    base = Base(held)
    parameters = scattered_parameters(base, base.arrays.survivors)
    assert parameters == ndarrays_to_parameters(list(held.values()))
    pairs = zip(parameters_to_ndarrays(parameters), held.values(), strict=True)
    assert all(np.array_equal(got, array) and got.dtype == dtype for got, array in pairs)
