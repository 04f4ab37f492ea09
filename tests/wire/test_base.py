"""A base taken apart once decodes what the plain one decodes, and gives survivors alone."""

import numpy as np
import pytest

from flwr_gan.errors import PayloadError
from flwr_gan.wire import (
    Base,
    Template,
    decode_payload,
    decode_survivors,
    describe_payload,
    encode_payload,
    encode_to_send,
    has_base_mask,
)
from flwr_gan.wire.header import seal


def arrays(seed: int = 0, *, kept: float = 0.2) -> dict[str, np.ndarray]:
    mask_rng, rng = np.random.default_rng(99), np.random.default_rng(seed)
    shapes = {"a": (40, 30), "b": (7, 5, 3), "empty": (0, 4), "c": (11, 8)}
    made = {}
    for name, shape in shapes.items():
        mask = mask_rng.random(shape) < kept
        made[name] = np.where(mask, rng.normal(1.0, 0.1, shape), 0).astype(np.float32)
    return made


CODECS = (
    "sparse",
    "sparse:pcodec",
    "sparse:int8",
    "quantize:int3:channel+sparse",
    "quantize:int8:network+sparse",
    "quantize:affine5:layer+sparse",
    "ternary+sparse",
    "codebook:4:layer+sparse",
    "cast:bf16+sparse",
)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("use", ["mask", "auto"])
def test_survivors_are_those_of_the_whole(codec, use):
    held, sent = arrays(1), arrays(2)
    base = Base(held)
    payload = encode_payload(sent, codec=codec, base=held, base_use=use, self_contained=False)
    whole = decode_payload(payload, base=base, template=base.template)
    plain = decode_payload(payload, base=held, template=base.template)
    survivors = base.split(decode_survivors(payload, base=base))
    assert has_base_mask(payload, base=base)
    assert len(survivors) == len(sent)
    for name, values in zip(sent, survivors, strict=True):
        np.testing.assert_array_equal(whole[name], plain[name])
        np.testing.assert_array_equal(values, whole[name][held[name] != 0])
        assert values.dtype == np.float32


def test_a_base_serves_many_payloads():
    held = arrays(1)
    base = Base(held)
    for seed in range(2, 5):
        sent = arrays(seed)
        payload = encode_payload(sent, base=held, self_contained=False)
        got = decode_payload(payload, base=base, template=base.template)
        for name, array in sent.items():
            np.testing.assert_array_equal(got[name], array)


def test_no_survivors_alone_where_there_is_more_or_less():
    held = arrays(1)
    base = Base(held)
    other_mask = arrays(2, kept=0.1)
    for payload in (
        encode_payload(other_mask, base=held),
        encode_payload(arrays(2)),  # is relative to nothing
        encode_payload(arrays(2), codec="zlib:6", base=held),
    ):
        assert not has_base_mask(payload, base=base)
        assert decode_survivors(payload, base=base) is None


def test_arrays_of_other_types_have_no_survivors_alone():
    held = arrays(1) | {"counts": np.arange(3, dtype=np.int32)}
    payload = encode_payload(held, base=held, base_use="mask")
    assert decode_survivors(payload, base=Base(held)) is None


def test_another_base_is_refused():
    held, sent = arrays(1), arrays(2)
    payload = encode_payload(sent, base=held, base_use="mask")
    with pytest.raises(PayloadError, match="unknown_base: payload needs the mask of another base"):
        decode_survivors(payload, base=Base(arrays(1, kept=0.5)))
    renamed = Base({name.upper(): array for name, array in held.items()})
    with pytest.raises(PayloadError, match="another base"):
        decode_survivors(payload, base=renamed)


def test_differences_with_feedback_have_survivors_too():
    held = arrays(1)
    payload = encode_to_send(arrays(2), codec="sparse:int8", base=held).payload
    base = Base(held)
    whole = decode_payload(payload, base=base)
    survivors = base.split(decode_survivors(payload, base=base))
    for name, values in zip(whole, survivors, strict=True):
        np.testing.assert_array_equal(values, whole[name][held[name] != 0])


@pytest.mark.parametrize("codec", ["sparse", "sparse:int8", "zlib:6"])
def test_a_header_that_was_read_stands_for_its_payload(codec):
    held = arrays(1)
    base = Base(held)
    payload = encode_payload(arrays(2), codec=codec, base=held)
    info = describe_payload(payload)
    whole, again = (decode_payload(given, base=base) for given in (payload, info))
    assert all(np.array_equal(again[name], whole[name]) for name in whole)
    assert has_base_mask(info, base=base) == has_base_mask(payload, base=base)
    if has_base_mask(info, base=base):
        both = (decode_survivors(given, base=base) for given in (payload, info))
        np.testing.assert_array_equal(*both)


@pytest.mark.parametrize("codec", ["sparse", "sparse:int8", "cast:bf16+sparse"])
@pytest.mark.parametrize("place", range(20, 120, 7))
def test_damaged_values_are_refused_or_decode_as_the_whole_does(codec, place):
    held = arrays(1)
    base = Base(held)
    payload = bytearray(encode_payload(arrays(2), codec=codec, base=held, self_contained=False))
    payload[place % (len(payload) - 30) + 20] ^= 0x41
    damaged = seal(bytes(payload[:-4]))
    try:
        whole = decode_payload(damaged, base=base, template=base.template)
    except PayloadError:
        with pytest.raises(PayloadError):
            decode_survivors(damaged, base=base)
        return
    for name, values in zip(whole, base.split(decode_survivors(damaged, base=base)), strict=True):
        np.testing.assert_array_equal(values, whole[name][held[name] != 0])


def test_every_truncation_is_refused():
    held = arrays(1)
    payload = encode_payload(arrays(2), codec="sparse:int8", base=held, base_use="mask")
    base = Base(held)
    for length in range(len(payload)):
        with pytest.raises(PayloadError):
            decode_survivors(payload[:length], base=base)


def test_a_base_knows_whether_its_floats_are_finite():
    finite = {"w": np.ones((2, 3), np.float16), "steps": np.array(3), "none": np.empty(0)}
    assert Base(finite).is_finite
    for value in (np.nan, np.inf, -np.inf, 1e300):  # the last is beyond float32
        assert not Base({**finite, "x": np.array([[0, value]])}).is_finite


@pytest.mark.parametrize("codec", ["sparse:bf16", "sparse:int8", "sparse:int4", "topk:0.01+int4"])
def test_a_small_change_does_not_arrive_as_no_change(codec):
    weights = {"w": np.random.default_rng(0).normal(size=(50, 20)).astype(np.float32)}
    template = Template.of(weights)
    base = decode_payload(encode_payload(weights, codec="sparse:int4"), template=template)
    changed = {"w": base["w"] * np.float32(1 + 1e-6)}
    payload = encode_payload(changed, codec=codec, base=base)
    arrived = decode_payload(payload, template=template, base=base)
    assert np.any(arrived["w"] != base["w"])
