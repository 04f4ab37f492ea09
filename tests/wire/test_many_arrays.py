"""Many small arrays, and none: what a payload costs besides its values."""

import zlib

import numpy as np
import pytest

from flwr_gan.errors import PayloadError
from flwr_gan.wire import Template, decode_payload, describe_payload, encode_payload
from flwr_gan.wire.codecs.varint import write_varint
from flwr_gan.wire.header import DEFLATED, MAX_TEMPLATE_BYTES, embed_template, seal


def tiny(count=5000):
    rng = np.random.default_rng(0)
    kinds = ("attention.bias", "attention.scale", "mlp.bias", "norm.weight", "norm.bias")
    names = [f"layers.{layer}.{kind}" for layer in range(-(-count // 5)) for kind in kinds]
    return {name: rng.normal(size=3).astype(np.float32) for name in names[:count]}


@pytest.mark.parametrize("spec", ["raw", "sparse", "sparse:int8", "zlib:6", "auto"])
@pytest.mark.slow
def test_5000_tiny_arrays(spec):
    arrays = tiny()
    data = sum(array.nbytes for array in arrays.values())
    names = len(Template.of(arrays).to_bytes())
    bare = encode_payload(arrays, codec=spec, self_contained=False)
    assert len(bare) < data + 64
    payload = encode_payload(arrays, codec=spec)
    assert len(payload) < 1.25 * data
    assert len(payload) - len(bare) < names / 9
    decoded = decode_payload(payload)
    assert list(decoded) == list(arrays)
    assert all(np.array_equal(decoded[name], array) for name, array in arrays.items())
    moved = {name: array * np.float32(1.001) for name, array in arrays.items()}
    again = encode_payload(moved, codec=spec, base=arrays, self_contained=False)
    assert len(again) < data + 64


@pytest.mark.parametrize("spec", ["raw", "sparse", "sparse:int8", "zlib:6", "auto"])
def test_no_array_at_all(spec):
    for self_contained in (True, False):
        payload = encode_payload({}, codec=spec, self_contained=self_contained)
        assert len(payload) < 30
        assert decode_payload(payload, template=Template.of({})) == {}
        assert decode_payload(payload, base={"w": np.ones(3)}, template=Template.of({})) == {}
    assert decode_payload(encode_payload({}, codec=spec)) == {}
    assert decode_payload(encode_payload({}, codec=spec, base={"w": np.ones(3)})) == {}


def test_short_templates_are_never_deflated():
    few = tiny(10)
    template = Template.of(few).to_bytes()
    assert template in encode_payload(few)
    assert template[:500] not in encode_payload(tiny(100))


def test_a_deflated_template_can_be_put_in_later():
    arrays = tiny(100)
    bare = encode_payload(arrays, self_contained=False)
    assert embed_template(bare, Template.of(arrays)) == encode_payload(arrays)


def with_template(length, data):
    front = b"FGN\x02" + bytes([DEFLATED, 7])
    return seal(front + write_varint(length) + write_varint(len(data)) + data)


def deflated(data):
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return squeezer.compress(data) + squeezer.flush()


def test_what_a_template_inflates_to_is_bounded():
    bomb = deflated(bytes(1 << 26))
    with pytest.raises(PayloadError, match=f"max_template_bytes={MAX_TEMPLATE_BYTES}"):
        decode_payload(with_template(1 << 26, bomb))
    with pytest.raises(PayloadError, match="inflate to exactly 1000 bytes"):
        decode_payload(with_template(1000, bomb))
    payload = encode_payload(tiny(100))
    length = len(Template.of(tiny(100)).to_bytes())
    assert describe_payload(payload, max_template_bytes=length).template is not None
    with pytest.raises(PayloadError, match=f"template has {length} bytes; max_template_bytes"):
        describe_payload(payload, max_template_bytes=length - 1)
    with pytest.raises(PayloadError, match="max_template_bytes=9"):
        describe_payload(encode_payload(tiny(1)), max_template_bytes=9)


def test_damaged_deflate_is_named():
    full = Template.of(tiny(100)).to_bytes()
    sound = deflated(full)
    for data, length, said in (
        (sound[:-1], len(full), "inflate to exactly"),
        (sound + b"\x00", len(full), "inflate to exactly"),
        (sound, len(full) + 1, "inflate to exactly"),
        (sound, len(full) - 1, "inflate to exactly"),
        (b"\xff" + sound, len(full), "damaged"),
        (b"", 0, "inflate to exactly"),
    ):
        with pytest.raises(PayloadError, match=said):
            describe_payload(with_template(length, data))


def test_a_name_that_comes_twice_is_refused_at_once():
    entry = b"\x00\x0a\x00"
    many = write_varint(1 << 20) + entry * (1 << 20)
    with pytest.raises(PayloadError, match="same name"):
        decode_payload(with_template(len(many), deflated(many)))
