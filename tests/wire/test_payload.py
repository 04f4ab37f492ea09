"""Payloads: what goes in comes out, and the base is used where it helps."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire import (
    Template,
    decode_payload,
    describe_payload,
    encode_payload,
    payload_sizes,
)
from flwr_gan.wire.codecs import codec_names
from flwr_gan.wire.codecs.arrays import DTYPES
from flwr_gan.wire.header import embed_template, seal

SPECS = [*codec_names(), "sparse:pcodec", "sparse:int8", "sparse:bf16", "quantize:int4+zlib"]


def same(one, two):
    return list(one) == list(two) and all(
        one[name].dtype == two[name].dtype
        and one[name].shape == two[name].shape
        and one[name].tobytes() == two[name].tobytes()
        for name in one
    )


def clean(arrays):
    return {name: array + 0 if array.dtype.kind == "f" else array for name, array in arrays.items()}


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("self_contained", [True, False])
def test_round_trip(ticket, spec, self_contained):
    payload = encode_payload(ticket, codec=spec, self_contained=self_contained)
    assert payload == encode_payload(ticket, codec=spec, self_contained=self_contained)
    template = None if self_contained else Template.of(ticket)
    decoded = decode_payload(payload, template=template)
    if describe_payload(payload).codec.lossless:
        assert same(decoded, ticket if spec == "raw" else clean(ticket))
    for name in ticket:
        assert np.array_equal(decoded[name] != 0, ticket[name] != 0)
        assert decoded[name].flags.writeable


@pytest.mark.parametrize("spec", SPECS)
def test_sizes_add_up_and_the_end_is_a_checksum(ticket, spec):
    payload = encode_payload(ticket, codec=spec, self_contained=False)
    sizes = payload_sizes(payload)
    assert sizes.header_bytes + sizes.mask_bytes + sizes.value_bytes == len(payload)
    assert sizes.header_bytes <= 64
    assert (sizes.mask_bytes > 0) == ("sparse" in spec)
    assert zlib.crc32(payload[:-4]).to_bytes(4, "little") == payload[-4:]


@settings(max_examples=60, deadline=None)
@given(
    arrays=st.dictionaries(
        st.text(max_size=5).filter(lambda name: name.isprintable()),
        hnp.arrays(
            st.sampled_from([np.dtype(code) for code in DTYPES] + [np.dtype(np.float32)] * 9),
            hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
        ),
        max_size=5,
    ),
    spec=st.sampled_from([*codec_names(), "sparse:pcodec"]),
)
def test_any_arrays_come_back_bit_for_bit(arrays, spec):
    assert same(decode_payload(encode_payload(arrays, codec=spec, strict=True)), arrays)


@pytest.mark.parametrize("spec", ["sparse", "sparse:pcodec", "sparse:int8", "sparse:int4"])
def test_a_base_shortens_the_payload(ticket, spec):
    base = decode_payload(encode_payload(ticket, codec=spec))
    rng = np.random.default_rng(0)
    moved = {
        name: (array * rng.uniform(0.99, 1.0, array.shape)).astype(array.dtype)
        for name, array in ticket.items()
    }
    alone = encode_payload(moved, codec=spec)
    sizes = {}
    for use in ("mask", "values", "auto"):
        payload = encode_payload(moved, codec=spec, base=base, base_use=use)
        decoded = decode_payload(payload, base=base)
        expected = decode_payload(alone)
        for name in moved:
            if describe_payload(payload).codec.lossless:
                assert np.array_equal(decoded[name], moved[name])
            assert np.array_equal(decoded[name] != 0, moved[name] != 0)
            assert np.allclose(decoded[name], expected[name], rtol=0, atol=0.7)
        assert describe_payload(payload).base_need == ("mask" if use == "mask" else "values")
        sizes[use] = len(payload)
    if describe_payload(alone).codec.lossless:  # a stage serves changes best, whatever the bytes
        assert sizes["auto"] == min(sizes.values())
    assert sizes["auto"] < len(alone)


def test_another_base_is_refused_by_name(ticket):
    payload = encode_payload(ticket, base=ticket, base_use="values", self_contained=False)
    other = {name: array.copy() for name, array in ticket.items()}
    other["fc"][other["fc"] != 0] *= 2
    for base in (None, other, {"fc": ticket["fc"]}, {}):
        with pytest.raises(PayloadError, match="unknown_base"):
            decode_payload(payload, template=Template.of(ticket), base=base)
    # The zero pattern alone is the same in both.
    by_mask = encode_payload(ticket, base=ticket, base_use="mask")
    assert np.array_equal(decode_payload(by_mask, base=other)["fc"], ticket["fc"])
    with pytest.raises(PayloadError, match="unknown_base"):
        decode_payload(by_mask, base={**other, "fc": np.ones_like(other["fc"])})


def pruned(arrays, *, share):
    """Return the arrays with the smallest weights of all layers together set to zero."""
    weights = [array for array in arrays.values() if array.dtype == np.float32]
    magnitudes = np.sort(np.abs(np.concatenate([array.reshape(-1) for array in weights])))
    limit = magnitudes[int(len(magnitudes) * share)]
    return {
        name: np.where(np.abs(array) >= limit, array, 0).astype(array.dtype)
        if array.dtype == np.float32
        else array
        for name, array in arrays.items()
    }


def test_a_mask_that_follows_from_magnitudes_is_derived(ticket):
    smaller = pruned(ticket, share=0.9)
    nested = encode_payload(smaller, base=ticket, base_use="mask")
    derived = encode_payload(smaller, base=ticket, base_use="derive")
    assert payload_sizes(derived).mask_bytes <= 12 < payload_sizes(nested).mask_bytes
    for payload in (nested, derived):
        assert same(decode_payload(payload, base=ticket), clean(smaller))
    by_layer = {
        name: pruned({name: array}, share=0.95)[name] if array.dtype == np.float32 else array
        for name, array in ticket.items()
    }
    payload = encode_payload(by_layer, base=ticket, base_use="derive")
    assert same(decode_payload(payload, base=ticket), clean(by_layer))


def test_ties_among_magnitudes_are_broken_in_order():
    base = {"w": np.array([1.0, -1.0, 1.0, 1.0], np.float32)}
    first = {"w": np.array([2.0, 2.0, 0.0, 0.0], np.float32)}
    payload = encode_payload(first, base=base, base_use="derive")
    assert same(decode_payload(payload, base=base), first)
    with pytest.raises(CodecError, match="largest magnitudes"):
        encode_payload({"w": first["w"][::-1].copy()}, base=base, base_use="derive")


def test_a_mask_that_grows_is_sent_in_full(ticket):
    smaller = pruned(ticket, share=0.9)
    for use in ("auto", "mask", "values"):
        payload = encode_payload(ticket, base=smaller, base_use=use)
        assert same(decode_payload(payload, base=smaller), clean(ticket))


def test_base_of_nan_and_infinity():
    base = {"w": np.array([np.nan, np.inf, -np.inf, 1.0, -0.0], np.float32)}
    arrays = {"w": np.array([1.0, np.nan, 2.0, -np.inf, 0.0], np.float32)}
    for spec in ("sparse", "sparse:pcodec"):
        for use in ("auto", "mask", "values"):
            payload = encode_payload(arrays, codec=spec, base=base, base_use=use)
            assert same(decode_payload(payload, base=base), arrays)


def test_bad_calls_are_explained(ticket):
    with pytest.raises(CodecError, match="base_use='best' is unknown; allowed: auto, mask"):
        encode_payload(ticket, base=ticket, base_use="best")
    with pytest.raises(CodecError, match="needs a base"):
        encode_payload(ticket, base_use="mask")
    with pytest.raises(CodecError, match="a float array of the same name and shape"):
        encode_payload(ticket, base={"fc": ticket["fc"].T}, base_use="mask")
    with pytest.raises(CodecError, match="lossy='some' is unknown; allowed: default, all"):
        encode_payload(ticket, lossy="some")
    with pytest.raises(CodecError, match="needs the codec sparse"):
        encode_payload(ticket, codec="zlib", base=ticket, base_use="mask")
    assert encode_payload(ticket, codec="zlib", base=ticket) == encode_payload(ticket, codec="zlib")
    with pytest.raises(CodecError, match="not a string"):
        encode_payload({1: ticket["fc"]})
    with pytest.raises(PayloadError, match="pass template="):
        decode_payload(encode_payload(ticket, self_contained=False))
    other = Template.of({"fc": ticket["fc"]})
    for self_contained in (True, False):
        payload = encode_payload(ticket, self_contained=self_contained)
        with pytest.raises(PayloadError, match="other names, shapes or dtypes"):
            decode_payload(payload, template=other)


def test_max_bytes_counts_the_decoded_arrays(ticket):
    payload = encode_payload(ticket)
    total = sum(array.nbytes for array in ticket.values())
    assert decode_payload(payload, max_bytes=total)
    with pytest.raises(PayloadError, match=f"arrays of {total} bytes; max_bytes={total - 1}"):
        decode_payload(payload, max_bytes=total - 1)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no flwr_gan payload"),
        (b"PK\x03\x04 and so on", "no flwr_gan payload"),
        (b"FG", "truncated"),
        (b"FGN\x02\x00", "truncated"),
        (b"FGN\x03 anything at all", "version 3; this version .* reads version 2: upgrade"),
        (b"FGN\x01 anything at all", "version 1; this version .* reads version 2: encode"),
        (b"FGN\x02 anything at all", "checksum"),
        (seal(b"FGN\x02\xc0\x00"), "flags"),
        (seal(b"FGN\x02\x0c\x00"), "flags"),
        (seal(b"FGN\x02\x03\x00"), "flags"),
        (seal(b"FGN\x02\x00\x1f"), "codec number 31"),
        (seal(b"FGN\x02\x00\x20\x63\x00"), "stage number 99"),
        (seal(b"FGN\x02\x00\x40\x01\x08\x01\x08"), "2 stages"),
        (seal(b"FGN\x02\x01\x00\x01\x09\x00"), "template"),
        (seal(b"FGN\x02\x01\x00\xff\xff\xff\x7f"), "max_template_bytes"),
        (seal(b"FGN\x02\x02\x00\x05\x02\x03\x00"), "inflate to exactly 5 bytes"),
        (seal(b"FGN\x02\x02\x00\x05\x02\xff\xff"), "template is damaged"),
        (seal(b"FGN\x02\x20\x00" + bytes(8) + b"\x00"), "array table of no bytes"),
        (seal(b"FGN\x02\x20\x00" + bytes(8) + b"\x01\x05\x00"), "no coded arrays"),
        (seal(b"FGN\x02\x20\x00" + bytes(8) + b"\x01\x05\x06"), "at most 5"),
    ],
)
def test_foreign_and_damaged_bytes_are_named(data, said):
    with pytest.raises(PayloadError, match=said):
        decode_payload(data)


def test_the_template_can_be_put_in_later(ticket):
    template = Template.of(ticket)
    for spec in ("sparse:int8", "zlib"):
        bare = encode_payload(ticket, codec=spec, self_contained=False)
        full = encode_payload(ticket, codec=spec)
        assert embed_template(bare, template) == full == embed_template(full, None)
        with pytest.raises(PayloadError, match="pass template="):
            embed_template(bare, None)
        with pytest.raises(PayloadError, match="not the payload's"):
            embed_template(full, Template.of({"x": ticket["fc"]}))
