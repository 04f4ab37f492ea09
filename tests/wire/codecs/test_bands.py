"""Bands: indices of an axis that are alike, coded together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flwr_gan.errors import PayloadError
from flwr_gan.wire import decode_payload, describe_payload, encode_payload
from flwr_gan.wire.codecs.sparse.bands import Bands, choose_bands, read_bands, write_bands
from flwr_gan.wire.codecs.sparse.numbers import BANDED
from flwr_gan.wire.codecs.varint import ByteReader, write_varint
from flwr_gan.wire.header import seal


def uneven(shape=(800, 16), axis=1, seed=0):
    rng = np.random.default_rng(seed)
    large = np.arange(shape[axis]) % 4 == 0
    scale = np.where(large, 20.0, 1.0).reshape(
        [-1 if at == axis else 1 for at in range(len(shape))]
    )
    kept = rng.random(shape) < np.where(scale > 1, 0.9, 0.5)
    return (rng.normal(size=shape) * scale * kept).astype(np.float32)


def is_banded(payload):
    reader = ByteReader(describe_payload(payload).body.values, what="values")
    reader.varint(limit=1 << 40)
    return bool(reader.byte() & BANDED)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple),
    count=st.integers(2, 8),
    data=st.data(),
)
def test_bands_hold_every_place_once_and_in_order(shape, count, data):
    axis = data.draw(st.integers(0, len(shape) - 1))
    of_index = data.draw(
        st.lists(st.integers(0, count - 1), min_size=shape[axis], max_size=shape[axis])
    )
    bands = Bands(shape, axis, count, np.array(of_index, np.uint8))
    size = int(np.prod(shape))
    assert sum(bands.lengths) == size
    places = np.arange(size)
    found = []
    for band, (chosen, inside) in enumerate(bands.split(places)):
        assert np.array_equal(inside, np.arange(bands.lengths[band]))
        assert np.array_equal(bands.in_layer(band, inside), places[chosen])
        index = places[chosen] // int(np.prod(shape[axis + 1 :])) % shape[axis]
        assert all(of_index[at] == band for at in index)
        found += list(chosen)
    assert sorted(found) == list(range(size))


@pytest.mark.parametrize("spec", ["sparse", "sparse:pcodec", "sparse:int8", "sparse:int4"])
@pytest.mark.parametrize(("shape", "axis"), [((800, 16), 1), ((16, 800), 0), ((4, 16, 200), 1)])
def test_uneven_layers_come_back(spec, shape, axis):
    if "pcodec" in spec:
        pytest.importorskip("pcodec")
    arrays = {"a": np.ones(3, np.float32), "w": uneven(shape, axis), "b": uneven((40, 30), 0)}
    payload = encode_payload(arrays, codec=spec)
    decoded = decode_payload(payload)
    for name, array in arrays.items():
        assert np.array_equal(decoded[name] != 0, array != 0)
        if "int" not in spec:
            assert np.array_equal(decoded[name], array)
    if "pcodec" not in spec:
        assert is_banded(payload)


def test_bands_save_bytes():
    rng = np.random.default_rng(3)
    w = uneven()
    shuffled = w.reshape(-1)[rng.permutation(w.size)].reshape(w.shape)
    for spec in ("sparse", "sparse:int8"):
        ordered = encode_payload({"w": w}, codec=spec)
        mixed = encode_payload({"w": shuffled}, codec=spec)
        assert is_banded(ordered)
        assert not is_banded(mixed)
        assert len(ordered) < 0.985 * len(mixed)


def test_even_layers_are_left_whole():
    rng = np.random.default_rng(0)
    for share in (0.05, 0.5, 1.0):
        w = (rng.normal(size=(2000, 32)) * (rng.random((2000, 32)) < share)).astype(np.float32)
        assert not is_banded(encode_payload({"w": w}, codec="sparse:int8"))


def test_values_that_are_not_finite_are_left_whole():
    w = uneven()
    w[0, 0] = np.inf
    chosen = choose_bands(w[w != 0], np.flatnonzero(w), w.shape, bits_each=8, values_gain=True)
    assert chosen is None
    assert np.array_equal(decode_payload(encode_payload({"w": w}))["w"], w)


def test_divisions_come_back():
    shapes = [(800, 16), (3,), (64, 32)]
    layers = [Bands(shapes[0], 1, 3, np.arange(16, dtype=np.uint8) % 3), None, None]
    reader = ByteReader(write_bands(layers), what="bands")
    first, second, third = read_bands(reader, shapes)
    reader.finish()
    assert second is None
    assert third is None
    assert (first.axis, first.count, list(first.of_index)) == (1, 3, list(layers[0].of_index))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (bytes([2 << 3 | 1]), "cannot have bands"),  # an axis that is not there
        (bytes([1 << 3]), "cannot have bands"),  # one band
        (bytes([0 << 3 | 1]), "too small"),
        (bytes([1 << 3 | 1]) + write_varint(1 << 2 | 1) + b"\x02", "more bands than it says"),
        (bytes([1 << 3 | 1]) + write_varint(3 << 2) + b"\0\0\0", "3 bytes in the place of 8"),
    ],
)
def test_forged_divisions_are_refused(code, said):
    with pytest.raises(PayloadError, match=said):
        read_bands(ByteReader(code, what="bands"), [(64, 8)])


def test_bands_beside_a_base_are_refused():
    w = {"w": uneven()}
    payload = encode_payload(w, base=w, base_use="mask")
    body = bytearray(payload[:-4])
    values = describe_payload(payload).body.values
    tag_at = len(body) - len(values) + 2
    body[tag_at] |= BANDED
    with pytest.raises(PayloadError, match="do not go together"):
        decode_payload(seal(bytes(body)), base=w)


def test_resealed_mutations_raise_payload_error_alone():
    w = uneven()
    payload = encode_payload({"w": w}, codec="sparse:int4")
    values_at = len(payload) - 4 - len(describe_payload(payload).body.values)
    rng = np.random.default_rng(0)
    for at in [*range(values_at, values_at + 60), *rng.integers(0, len(payload) - 4, 150)]:
        for value in (0, 1, 127, 128, 255, payload[at] ^ 1, payload[at] + 1 & 255):
            try:
                decoded = decode_payload(seal(payload[:at] + bytes([value]) + payload[at + 1 : -4]))
            except PayloadError:
                continue
            assert decoded
