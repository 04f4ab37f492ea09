"""A base serves array by array, whatever else it and the payload hold."""

import numpy as np
import pytest

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire import (
    Base,
    Template,
    decode_payload,
    describe_payload,
    encode_payload,
    payload_sizes,
)
from flwr_gan.wire.header import embed_template

RNG = np.random.default_rng(0)


def model(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "0.weight": rng.normal(size=(16, 8)).astype(np.float32),
        "0.bias": rng.normal(size=16).astype(np.float32),
        "1.running_var": rng.uniform(0.5, 2, 16).astype(np.float32),
        "1.num_batches_tracked": np.array(8),
        "3.weight": rng.normal(size=(40, 16)).astype(np.float32),
        "scale": np.array(1.5, np.float32),
    }


def moved(arrays):
    return {
        name: (array * 1.001).astype(array.dtype) if array.dtype.kind == "f" else array + 1
        for name, array in arrays.items()
    }


def same(one, two):
    return list(one) == list(two) and all(
        one[name].shape == two[name].shape
        and one[name].dtype == two[name].dtype
        and np.array_equal(one[name], two[name])
        for name in one
    )


def check(sent, held, *, spec="sparse", shorter=True):
    """Send relative to a base in every way and see that all is well."""
    alone = encode_payload(sent, codec=spec)
    template = Template.of(sent)
    for use in ("auto", "mask", "values"):
        for self_contained in (True, False):
            payload = encode_payload(
                sent, codec=spec, base=held, base_use=use, self_contained=self_contained
            )
            info = describe_payload(payload)
            given = None if info.template or info.template_hash is None else template
            decoded = decode_payload(payload, template=given, base=held)
            if spec == "sparse":
                assert same(decoded, sent)
            assert same(decode_payload(payload, template=template, base=Base(held)), decoded)
            if use != "mask" and shorter:
                assert len(payload) < len(alone)
            if info.base_need != "none":
                with pytest.raises(PayloadError, match="unknown_base"):
                    decode_payload(payload, template=template)
                full = embed_template(payload, template)
                assert same(decode_payload(full, base=held), decoded)


@pytest.mark.parametrize("spec", ["sparse", "sparse:int8"])
def test_the_same_template(spec):
    held = model()
    check(moved(held), held, spec=spec)


@pytest.mark.parametrize("spec", ["sparse", "sparse:int8"])
def test_a_counter_that_became_a_float_costs_nobody_their_base(spec):
    held = model()
    sent = moved(held)
    sent["1.num_batches_tracked"] = np.array(8.5)
    check(sent, held, spec=spec)


@pytest.mark.parametrize("spec", ["sparse", "sparse:int8"])
def test_more_arrays_fewer_arrays_other_shapes_another_order(spec):
    held = model()
    sent = moved(held)
    new = {"adapter": RNG.normal(size=(12, 16)).astype(np.float32)}
    check({**sent, **new}, held, spec=spec)
    check({"0.weight": sent["0.weight"], "0.bias": sent["0.bias"]}, held, spec=spec)
    check(dict(reversed(list(sent.items()))), held, spec=spec)
    grown = {**sent, "0.weight": np.concatenate([sent["0.weight"]] * 2)}
    check(grown, held, spec=spec)


def test_what_the_base_has_in_another_type_is_used_only_if_that_is_a_float():
    held = model()
    sent = moved(held)
    whole = {"3.weight": (sent["3.weight"] * 10).astype(np.int32), "steps": np.arange(9)}
    check({**sent, **whole}, held)
    check(sent, {**held, **whole})


def test_a_base_that_serves_nothing_is_not_needed():
    sent = model()
    for held in ({}, {"other": sent["0.weight"]}, {"0.weight": sent["0.weight"].T}):
        assert encode_payload(sent, base=held) == encode_payload(sent)
        with pytest.raises(CodecError, match="a float array of the same name and shape"):
            encode_payload(sent, base=held, base_use="values")
    strange = {name: RNG.normal(size=a.shape).astype("f4") ** 9 for name, a in sent.items()}
    del strange["0.bias"]
    assert encode_payload(sent, base=strange) == encode_payload(sent)


def test_another_base_is_refused_and_only_what_is_used_counts():
    held = model()
    sent = {"0.weight": held["0.weight"] * 2, "more": RNG.normal(size=(9, 9)).astype(np.float32)}
    payload = encode_payload(sent, base=held, base_use="values")
    changed = {**held, "3.weight": held["3.weight"] + 1, "1.num_batches_tracked": "?", "x": None}
    assert same(decode_payload(payload, base=changed), sent)
    for name, array in (
        ("0.weight", held["0.weight"] + 1),
        ("0.weight", held["0.weight"].astype(np.float64)),
        ("0.weight", held["0.weight"].reshape(8, 16)),
        ("0.weight", held["0.weight"].astype(np.int64)),
    ):
        with pytest.raises(PayloadError, match="unknown_base: payload needs the values of another"):
            decode_payload(payload, base={**held, name: array})
    with pytest.raises(PayloadError, match="unknown_base"):
        decode_payload(payload, base={name: a for name, a in held.items() if name != "0.weight"})


def test_of_a_base_with_the_payloads_template_everything_counts():
    held = model()
    payload = encode_payload(moved(held), base=held)
    assert describe_payload(payload).template_hash is None
    assert describe_payload(payload).base_hash == Base(held).name("values")
    other = {**held, "1.num_batches_tracked": np.array(8, np.int32)}
    with pytest.raises(PayloadError, match="unknown_base"):
        decode_payload(payload, base=other)
    # Whole numbers have no values that differences could be taken to.
    assert decode_payload(payload, base={**held, "1.num_batches_tracked": np.array(99)})


def test_a_template_travels_only_where_the_base_has_another():
    held = model()
    alike = encode_payload(moved(held), base=held)
    assert alike == encode_payload(moved(held), base=held, self_contained=False)
    unlike = {**moved(held), "new": np.zeros(3, np.int32)}
    full = encode_payload(unlike, base=held)
    bare = encode_payload(unlike, base=held, self_contained=False)
    assert describe_payload(full).template == Template.of(unlike)
    assert describe_payload(bare).template_hash == Template.of(unlike).hash
    assert len(full) - len(bare) == len(Template.of(unlike).to_bytes()) + 1 - 8
    with pytest.raises(PayloadError, match="pass template="):
        decode_payload(bare, base=held)
    with pytest.raises(PayloadError, match="other names, shapes or dtypes"):
        decode_payload(full, base=held, template=Template.of(held))
    # Without differences, the hash of the template may still be that of the base.
    alone = encode_payload(held, self_contained=False)
    assert same(decode_payload(alone, base=held), held)


def test_the_name_of_a_base_counts_all_float_types():
    names = set()
    for kind in ("<f2", "V2", "<f4", "<f8"):
        for seed in (0, 1):
            values = model(seed)["0.weight"]
            array = values.astype(kind) if kind != "V2" else values.view("<u2")[:, ::2].view("V2")
            arrays = {"w": array, "n": np.array(3)}
            names.add(Base(arrays).name("values"))
            assert Base(arrays).name("values") in names
            assert Base(arrays).name("values") in names
    assert len(names) == 8


def test_replies_of_any_kind():
    """A subset, twice the arrays, index and value pairs, nothing, a histogram."""
    held = model()
    sent = moved(held)
    half = dict(list(sent.items())[:2])
    double = {**sent, **{f"control.{name}": array for name, array in sent.items()}}
    pairs = {"indices": np.arange(7) * 3, "values": RNG.normal(size=7).astype(np.float32)}
    histogram = {"hist": np.arange(10)}
    for spec in ("raw", "zlib", "sparse", "sparse:int8", "auto"):
        for reply in (half, double, pairs, histogram, {}):
            payload = encode_payload(reply, codec=spec, base=held)
            decoded = decode_payload(payload, base=held)
            assert list(decoded) == list(reply)
            for name, array in reply.items():
                assert decoded[name].shape == array.shape
                assert decoded[name].dtype == array.dtype
                if "int8" not in spec or array.ndim < 2:
                    assert np.array_equal(decoded[name], array)


def test_integers_bools_and_0_d_arrays_come_back_as_they_are():
    arrays = {
        "w": RNG.normal(size=(4, 3)).astype(np.float32),
        "steps": np.array([1, 2]),
        "on": np.array([True, False, True]),
        "count": np.array(7),
        "none": np.array(0.5, np.float32),
    }
    for spec in ("raw", "zlib", "sparse", "sparse:int8", "auto"):
        for base in (None, moved({**arrays, "on": np.zeros(3)})):
            payload = encode_payload(arrays, codec=spec, base=base)
            assert same(decode_payload(payload, base=base), arrays)


def test_mask_bytes_are_those_of_all_bundles():
    held = {"a": np.where(RNG.random((90, 90)) < 0.2, 1.5, 0).astype(np.float32)}
    sent = {**held, "b": np.where(RNG.random((90, 90)) < 0.2, 2.5, 0).astype(np.float32)}
    payload = encode_payload(sent, base=held, base_use="mask")
    info = describe_payload(payload)
    assert len(info.bodies) == 2
    assert payload_sizes(payload).mask_bytes == sum(len(body.mask) for body in info.bodies)
    assert payload_sizes(payload).mask_bytes < payload_sizes(encode_payload(sent)).mask_bytes
