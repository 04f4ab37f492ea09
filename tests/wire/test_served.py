"""What a lossy codec serves, and what it leaves exact."""

import numpy as np
import pytest

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire import decode_payload, describe_payload, encode_payload
from flwr_gan.wire.codecs.arrays import extremes
from flwr_gan.wire.decoding import within_limits
from flwr_gan.wire.header import seal
from flwr_gan.wire.served import has_few_values, is_served

LOSSY = [
    "sparse:int8",
    "sparse:int4",
    "sparse:fp16",
    "quantize:int8:channel+zstd:19",
    "quantize:affine5:layer+sparse",
    "quantize:int3:network+sparse",
    "cast:bf16+pcodec",
    "ternary:layer+rle",
    "codebook:16:layer+sparse",
    "prune:magnitude:0.5+sparse",
    "lowrank:rank:2+quantize:int8:channel+sparse",
    "hash:0.25+zlib:9",
]
RNG = np.random.default_rng(0)
WEIGHTS = RNG.normal(size=(24, 32)).astype(np.float32)


def arrays():
    """Return weights that are served, and one array for each reason not to serve it."""
    mask = np.where(np.triu(np.ones((16, 16)), 1), -np.inf, RNG.normal(size=(16, 16)))
    return {
        "weights": WEIGHTS,
        "bias": RNG.normal(size=100).astype(np.float32),
        "running_var": RNG.uniform(1e-6, 300, 100).astype(np.float32),
        "scale": np.array(0.7, np.float32),
        "small": RNG.normal(size=(7, 9)).astype(np.float32),
        "causal": mask.astype(np.float32),
        "unknown": np.where(np.eye(9), np.nan, RNG.normal(size=(9, 9))),
        "grid": RNG.integers(-7, 9, (20, 20)).astype(np.float32) / 8,
        "num_batches_tracked": np.array(3),
        "labels": RNG.integers(0, 9, (30, 30)),
        "flags": RNG.random((30, 30)) < 0.5,
        "phase": (RNG.normal(size=(9, 9)) + 1j).astype(np.complex64),
        "more": RNG.normal(size=(9, 5, 3)).astype(np.float16),
        "empty": np.empty((0, 4), np.float32),
        "zeros": np.zeros((9, 9), np.float32),
    }


SERVED = {"weights", "more"}


@pytest.mark.parametrize("spec", LOSSY)
def test_all_but_weights_arrive_exactly(spec):
    sent = arrays()
    decoded = decode_payload(encode_payload(sent, codec=spec))
    assert list(decoded) == list(sent)
    for name, array in sent.items():
        assert decoded[name].shape == array.shape
        assert decoded[name].dtype == array.dtype
        if name in SERVED:
            assert not np.array_equal(decoded[name], array) or "fp16" in spec
            assert np.isfinite(decoded[name]).all()
        else:
            assert decoded[name].tobytes() == array.tobytes(), name


def test_a_payload_of_nothing_to_serve_is_the_lossless_one():
    sent = {name: array for name, array in arrays().items() if name not in SERVED}
    for spec, lossless in (
        ("sparse:int8", "sparse"),
        ("quantize:int4:channel+zlib:6", "zlib:6"),
        ("prune:magnitude:0.5+cast:fp16+sparse", "sparse"),
        ("lowrank:rank:1+sparse:pcodec", "sparse:pcodec"),
    ):
        assert encode_payload(sent, codec=spec) == encode_payload(sent, codec=lossless)


def test_weights_alone_take_no_table():
    for spec in LOSSY:
        assert not describe_payload(encode_payload({"w": WEIGHTS}, codec=spec)).table
        others = {"w": WEIGHTS, "steps": np.array(3), "zeros": np.zeros(5, np.float32)}
        assert not describe_payload(encode_payload(others, codec=spec)).table


@pytest.mark.parametrize("spec", ["sparse:int8", "quantize:affine5:layer+zlib", "ternary+sparse"])
def test_all_serves_every_finite_float_array(spec):
    sent = arrays()
    decoded = decode_payload(encode_payload(sent, codec=spec, lossy="all"))
    changed = {name for name, array in sent.items() if decoded[name].tobytes() != array.tobytes()}
    assert {"weights", "more", "bias", "running_var", "small"} <= changed
    kept = {"causal", "unknown", "num_batches_tracked", "labels", "flags", "phase", "empty"}
    assert not changed & kept


@pytest.mark.parametrize(
    ("spec", "array"),
    [
        ("sparse:fp16", WEIGHTS * np.float32(1e5)),
        ("cast:bf16+zlib", np.where(WEIGHTS > 0, np.float32(3.4e38), WEIGHTS)),
        ("flexpoint+sparse", WEIGHTS * np.float32(1e20)),
    ],
)
def test_what_a_stage_refuses_arrives_exactly(spec, array):
    payload = encode_payload({"w": WEIGHTS, "wide": array}, codec=spec)
    assert not describe_payload(payload).codec.lossless
    decoded = decode_payload(payload)
    assert np.array_equal(decoded["wide"], array)
    assert not np.array_equal(decoded["w"], WEIGHTS)
    alone = encode_payload({"wide": array}, codec=spec)
    assert describe_payload(alone).codec.lossless


def test_an_error_that_is_not_an_arrays_stays_one():
    sent, base = {"w": WEIGHTS}, {"w": WEIGHTS * 2}
    changed = {"w": np.where(np.abs(WEIGHTS) < 1, WEIGHTS, np.float32(0))}
    with pytest.raises(CodecError, match="derive"):
        encode_payload(changed, codec="sparse:int8", base=base, base_use="derive")
    with pytest.raises(CodecError, match="base_use='mask'"):
        encode_payload(sent, codec="lowrank:rank:2+sparse", base=base, base_use="mask")


@pytest.mark.parametrize("spec", [spec for spec in LOSSY if "hash" not in spec])
@pytest.mark.parametrize("relative", [False, True])
def test_what_has_no_negative_values_decodes_without_any(spec, relative):
    sent = {"w": WEIGHTS, "positive": RNG.gamma(0.3, size=(20, 30)).astype(np.float32)}
    sent["positive"][:, ::3] = 0
    sent["half"] = sent["positive"].astype(np.float16)
    base = None
    if relative:
        base = {name: (array + 0.5).astype(array.dtype) for name, array in sent.items()}
    decoded = decode_payload(encode_payload(sent, codec=spec, base=base), base=base)
    for name in ("positive", "half"):
        assert decoded[name].min() >= 0
        if "lowrank" not in spec and "prune" not in spec:
            assert np.array_equal(decoded[name] != 0, sent[name] != 0)


def test_the_mark_stands_where_it_is_needed_alone():
    positive = {"w": np.abs(WEIGHTS)}
    assert not describe_payload(encode_payload(positive, codec="sparse:int8")).table
    assert describe_payload(encode_payload(positive, codec="lowrank:rank:4+sparse")).table


def test_the_variances_of_batch_normalisation_arrive():
    """A network whose features differ in scale by a factor of 200, as after five rounds."""
    variances = np.array([0.05, 0.1, 0.3, 1, 1, 2, 6, 12], np.float32) ** 2
    rng = np.random.default_rng(0)
    state = {
        "0.weight": rng.normal(1, 0.1, 8).astype(np.float32),
        "0.bias": rng.normal(0, 0.1, 8).astype(np.float32),
        "0.running_mean": rng.normal(0, 0.1, 8).astype(np.float32) * np.sqrt(variances),
        "0.running_var": variances,
        "0.num_batches_tracked": np.array(8),
        "1.weight": rng.normal(size=(16, 8)).astype(np.float32),
        "1.bias": rng.normal(size=16).astype(np.float32),
        "3.weight": rng.normal(size=(2, 16)).astype(np.float32),
        "3.bias": rng.normal(size=2).astype(np.float32),
    }
    moved = {name: (a * 1.01).astype(a.dtype) for name, a in state.items()}
    for spec in ("sparse:int8", "sparse:int4"):
        for base in (None, state):
            decoded = decode_payload(encode_payload(moved, codec=spec, base=base), base=base)
            for name in moved:
                exact = name != "1.weight"
                assert np.array_equal(decoded[name], moved[name]) == exact, name


def test_few_values():
    rng = np.random.default_rng(0)
    few = rng.choice(np.linspace(-1, 1, 16, dtype=np.float32), (100, 100))
    assert has_few_values(few)
    assert not has_few_values(rng.choice(np.linspace(0.1, 1, 17, dtype=np.float32), (100, 100)))
    assert has_few_values(np.where(rng.random((100, 100)) < 0.01, few, np.float32(0)))
    # A few survivors that are all different are weights like any others.
    survivors = np.zeros((100, 100), np.float32)
    survivors[::10, 3] = rng.normal(size=10)
    assert not has_few_values(survivors)
    assert is_served(survivors, extremes(survivors), lossy="default", is_kept=lambda single: False)


@pytest.mark.parametrize("codec", ["zlib", "sparse"])
def test_few_values_that_the_stage_keeps_are_served(codec):
    rng = np.random.default_rng(0)
    ternary = {"w": rng.choice(np.float32([-0.03, 0, 0.03]), (60, 70)), "v": WEIGHTS}
    payload = encode_payload(ternary, codec=f"ternary:layer+{codec}")
    assert not describe_payload(payload).table
    assert np.array_equal(decode_payload(payload)["w"], ternary["w"])
    for spec in ("ternary:network", "quantize:affine5:layer", "prune:random:0.5+ternary:layer"):
        decoded = decode_payload(encode_payload(ternary, codec=f"{spec}+{codec}"))
        assert np.array_equal(decoded["w"], ternary["w"])
    moved = {name: array * np.float32(1.5) for name, array in ternary.items()}
    payload = encode_payload(moved, codec=f"ternary:layer+{codec}", base=ternary)
    assert np.array_equal(decode_payload(payload, base=ternary)["w"], moved["w"])


def test_a_decoder_keeps_to_what_was_served():
    values = np.array([np.inf, -np.inf, -2, 3], np.float32)
    largest = np.finfo(np.float32).max
    assert np.array_equal(within_limits(values), np.array([largest, -largest, -2, 3], np.float32))
    assert within_limits(values, non_negative=True).min() == np.float32(2**-149)
    with pytest.raises(PayloadError, match="NaN"):
        within_limits(np.array([1, np.nan], np.float32))


def test_infinity_in_forged_codes_is_limited():
    payload = bytearray(encode_payload({"w": WEIGHTS}, codec="cast:fp16+raw")[:-4])
    for code, expected in ((0xF800, np.finfo(np.float32).max), (0xF801, None)):
        payload[-2:] = int(code).to_bytes(2, "little")
        if expected is None:
            with pytest.raises(PayloadError, match="NaN"):
                decode_payload(seal(bytes(payload)))
        else:
            assert decode_payload(seal(bytes(payload)))["w"][-1, -1] == expected
