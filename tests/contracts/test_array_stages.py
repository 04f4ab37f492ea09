"""Every stage that changes whole arrays keeps the same promises, alone and before every codec."""

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
    encode_to_send,
)
from flwr_gan.wire.codecs import get_codec
from flwr_gan.wire.header import seal
from flwr_gan.wire.stages import ArrayStage, get_stage
from flwr_gan.wire.stages.registry import stage_by_id

SPECS = [
    "prune:magnitude:0.8:global",
    "prune:magnitude:0.25:local",
    "prune:random:0.5:global",
    "prune:random:0.3333:local",
    "lowrank:rank:4",
    "lowrank:energy:0.6",
    "redundancy:4:conv",
    "redundancy:7:transposed",
    "hash:0.25",
    "hash:0.1:sign",
]
NOT_FOR_FEEDBACK = {"hash:0.25", "hash:0.1:sign"}
"""The same weights share a value every time, so that what is lost is lost again."""

BEHIND = [
    "sparse",
    "raw",
    "zlib:9",
    "quantize:int8:channel+sparse",
    "quantize:int4:layer+zstd:19",
    "cast:bf16+sparse",
]

RNG = np.random.default_rng(11)
MODEL = {
    "fc": RNG.normal(size=(24, 16)).astype(np.float32),
    "conv": (RNG.normal(size=(8, 6, 3)) * (RNG.random((8, 6, 3)) < 0.6)).astype(np.float32),
    "bias": RNG.normal(size=8).astype(np.float32),
    "big": RNG.normal(size=(6, 5)).astype(">f4"),
    "scale": np.array(1.5, np.float32),
    "empty": np.empty((0, 4), np.float32),
    "steps": np.array(41),
    "flags": np.array([True, False, True]),
}

arrays_of_weights = st.lists(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6),
        elements=st.one_of(st.just(0.0), st.just(-0.0), st.floats(-1000, 1000, width=32)),
    ),
    max_size=4,
)


def weights_of(arrays):
    return [array.astype("<f4") for array in arrays.values() if array.dtype.kind == "f"]


def norm_of_errors(arrays, decoded):
    pairs = zip(arrays, decoded, strict=True)
    return np.sqrt(sum(np.sum((a.astype(np.float64) - b) ** 2) for a, b in pairs))


@pytest.mark.parametrize("spec", SPECS)
@settings(max_examples=25, deadline=None)
@given(arrays=arrays_of_weights)
def test_round_trip_stays_within_the_stated_bound(spec, arrays):
    stage = get_stage(spec)
    named = {str(at): array for at, array in enumerate(arrays)}
    before = [array.tobytes() for array in arrays]
    decoded = decode_payload(encode_payload(named, codec=f"{spec}+sparse"))
    assert [array.tobytes() for array in arrays] == before
    for name, array in named.items():
        assert decoded[name].shape == array.shape
        assert decoded[name].dtype == array.dtype
        assert decoded[name].flags.writeable
        assert not np.signbit(decoded[name][decoded[name] == 0]).any()
    bound = stage.error_bound(arrays)
    size = norm_of_errors(arrays, [np.zeros_like(array) for array in arrays])
    assert norm_of_errors(arrays, decoded.values()) <= bound + 1e-6 * size + 1e-30
    assert bound <= size * (1 + 1e-6) + 1e-30


@pytest.mark.parametrize("codec", BEHIND)
@pytest.mark.parametrize("spec", SPECS)
def test_a_payload_names_all_stages_and_comes_back(spec, codec):
    whole = f"{spec}+{codec}"
    assert get_codec(whole).spec == whole
    assert not get_codec(whole).lossless
    for self_contained in (True, False):
        payload = encode_payload(MODEL, codec=whole, self_contained=self_contained)
        assert payload == encode_payload(MODEL, codec=whole, self_contained=self_contained)
        info = describe_payload(payload)
        assert info.codec_label == whole.rsplit(":", 1)[0] if codec[-1].isdigit() else whole
        assert not info.codec.lossless
        decoded = decode_payload(payload, template=Template.of(MODEL))
        assert list(decoded) == list(MODEL)
        for name, array in MODEL.items():
            assert decoded[name].dtype == array.dtype
            assert decoded[name].shape == array.shape
            if array.dtype.kind != "f":
                assert np.array_equal(decoded[name], array)


@pytest.mark.parametrize("spec", SPECS)
def test_the_parts_are_never_more_than_the_arrays(spec):
    stage = get_stage(spec)
    arrays = weights_of(MODEL)
    _, parts = stage.apply(arrays)
    assert len(parts) == len(arrays)
    for array, part in zip(arrays, parts, strict=True):
        assert sum(one.size for one in part) <= array.size
        assert all(one.dtype == np.float32 for one in part)


@pytest.mark.parametrize("spec", SPECS)
def test_it_really_shrinks_the_payload(spec):
    rng = np.random.default_rng(2)
    # A dense layer whose rank is low, so that every stage has something to save.
    low = rng.normal(size=(96, 6)) @ rng.normal(size=(6, 80))
    arrays = {"w": (low + 0.01 * rng.normal(size=low.shape)).astype(np.float32)}
    for codec in ("sparse", "zlib:9", "quantize:int8:layer+sparse"):
        assert len(encode_payload(arrays, codec=f"{spec}+{codec}")) < 0.9 * len(
            encode_payload(arrays, codec=codec)
        )


@pytest.mark.parametrize("spec", SPECS)
def test_settings_come_back_from_the_wire(spec):
    stage = get_stage(spec)
    assert isinstance(stage, ArrayStage)
    assert 0 <= stage.parameter < 1 << 32
    assert stage_by_id(stage.wire_id, stage.parameter).spec == stage.spec == spec


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("codec", ["sparse", "quantize:int8:channel+zlib:9"])
def test_damaged_payloads_raise_payload_error_alone(spec, codec):
    payload = encode_payload(MODEL, codec=f"{spec}+{codec}", self_contained=False)
    template = Template.of(MODEL)
    body = payload[:-4]
    rng = np.random.default_rng(1)
    damaged = [body[:end] for end in range(0, len(body), 19)]
    for _ in range(100):
        mutated = bytearray(body)
        mutated[rng.integers(len(body))] = rng.integers(256)
        damaged.append(bytes(mutated))
    refused = 0
    for data in damaged:
        try:
            decoded = decode_payload(seal(data), template=template, max_bytes=template.nbytes)
        except PayloadError:
            refused += 1
            continue
        assert [array.shape for array in decoded.values()] == [a.shape for a in MODEL.values()]
    assert refused > len(damaged) // 8


@pytest.mark.parametrize("spec", [spec for spec in SPECS if spec not in NOT_FOR_FEEDBACK])
def test_feedback_sends_later_what_was_lost(spec):
    rng = np.random.default_rng(4)
    arrays = {"w": rng.normal(size=(20, 12)).astype(np.float32)}
    residuals, total, rounds = None, 0, 120
    for _ in range(rounds):
        sent = encode_to_send(arrays, residual=residuals, codec=f"{spec}+sparse")
        residuals = sent.residual
        total = total + decode_payload(sent.payload)["w"].astype(np.float64)
    once = decode_payload(encode_payload(arrays, codec=f"{spec}+sparse"))["w"]
    late = np.linalg.norm(total / rounds - arrays["w"])
    assert late < 0.2 * np.linalg.norm(once - arrays["w"])


def test_error_feedback_is_for_contractive_chains():
    for spec in SPECS:
        assert get_codec(f"{spec}+sparse").contractive == (spec not in NOT_FOR_FEEDBACK)
    contractive = {
        "sparse": False,  # nothing is lost
        "zlib:9": False,
        "sparse:int8": True,
        "quantize:affine1+sparse": False,
        "quantize:int2+zlib:9": True,
        "prune:magnitude:0.9+quantize:int2+sparse": True,
        "hash:0.1+sparse:int8": False,
        # What is lost of factors is multiplied.
        "lowrank:rank:4+sparse:int8": True,
        "lowrank:rank:4+sparse:int4": True,
        "lowrank:rank:4+quantize:int2+sparse": False,
        "lowrank:rank:4+ternary+zlib:9": False,
        "lowrank:rank:4+prune:magnitude:0.9+sparse:int8": False,
    }
    for spec, wanted in contractive.items():
        assert get_codec(spec).contractive == wanted, spec


@pytest.mark.parametrize("spec", SPECS)
def test_a_base_is_used_or_refused(spec):
    arrays = {name: array for name, array in MODEL.items() if name != "big"}
    options = {"codec": f"{spec}+sparse", "base_use": "values"}
    if not get_stage(spec).keeps_shapes:
        with pytest.raises(CodecError, match="needs the codec sparse"):
            encode_payload(arrays, base=arrays, **options)
        payload = encode_payload(arrays, base=arrays, codec=options["codec"])
        assert payload == encode_payload(arrays, codec=options["codec"])
        return
    payload = encode_payload(arrays, base=arrays, **options)
    alone = decode_payload(encode_payload(arrays, codec=options["codec"]))
    decoded = decode_payload(payload, base=arrays)
    for name in arrays:
        assert np.array_equal(decoded[name], alone[name])
    with pytest.raises(PayloadError, match="unknown_base"):
        decode_payload(payload)
