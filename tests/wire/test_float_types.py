"""float16, bfloat16 and float64 are weights like float32, and come back bit for bit."""

import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flwr_gan.wire import (
    Template,
    decode_payload,
    describe_payload,
    encode_payload,
    payload_sizes,
)
from flwr_gan.wire.codecs import codec_names

BFLOAT16 = ml_dtypes.bfloat16
LOSSLESS = [*codec_names(), "sparse:pcodec", "auto"]
LOSSY = [
    "sparse:int8",
    "sparse:int4",
    "sparse:bf16",
    "quantize:int6:channel+zlib:9",
    "ternary:layer+sparse",
    "prune:magnitude:0.5+sparse",
    "lowrank:rank:2+sparse",
]


def weights(count=4000, kept=0.1, seed=0):
    rng = np.random.default_rng(seed)
    made = rng.normal(size=count) * (rng.random(count) < kept)
    return np.where(made == 0, 0.0, made).reshape(-1, 50)


def of_type(kind, values):
    if kind == "float64 from float32":
        return values.astype(np.float32).astype(np.float64)
    if kind == "bfloat16":
        return values.astype(np.float32).astype(BFLOAT16)
    if kind == "V2":
        return values.astype(np.float32).astype(BFLOAT16).view("V2")
    return values.astype(kind)


KINDS = [
    "<f2",
    ">f2",
    "bfloat16",
    "V2",
    "<f4",
    ">f4",
    "float64 from float32",
    "<f8",
    ">f8",
]


def bits(array):
    return np.ascontiguousarray(array).tobytes()


@pytest.mark.parametrize(
    ("spec", "kind"),
    [(spec, kind) for spec in LOSSLESS for kind in KINDS if spec != "paq9a" or kind == "V2"],
)
def test_lossless_codecs_keep_every_bit(spec, kind):
    if spec == "paq9a":
        arrays = {"w": of_type(kind, weights(200))}
    else:
        arrays = {"a": of_type(kind, weights()), "b": of_type(kind, weights(seed=1))}
    payload = encode_payload(arrays, codec=spec)
    assert payload == encode_payload(arrays, codec=spec)
    for name, array in decode_payload(payload).items():
        assert bits(array) == bits(arrays[name])
        assert array.shape == arrays[name].shape
        assert array.dtype == (BFLOAT16 if kind == "V2" else arrays[name].dtype)


SPECIAL = {
    "<f2": np.array([0x0001, 0x8001, 0x7BFF, 0x7C00, 0xFC00, 0x8000, 0x0400], np.uint16),
    "half with NaN": np.array([0x7C01, 0xFE00, 0x3C00, 0x7DFF], np.uint16),
    "V2": np.array([0x0001, 0x8001, 0x7F7F, 0x7F80, 0x7F81, 0xFFC1, 0x8000], np.uint16),
    "<f8": np.array([1e300, -1e-310, 5e-324, 1.0, np.pi, -0.0, 1e-40, 3.5e38, np.inf]),
    "double with NaN": np.array([np.nan, -np.nan, 1.5, 2.5e-45]),
    "double at the edge": np.array([3.4028235677973366e38, 1.1754943508222875e-38, 7e-46]),
    "only zero in float32": np.array([1e-60, 1.0, 0.0] * 9),
}


@pytest.mark.parametrize("spec", [spec for spec in LOSSLESS if spec != "paq9a"])
@pytest.mark.parametrize("name", SPECIAL)
def test_special_numbers_keep_every_bit(spec, name):
    array = SPECIAL[name]
    if array.dtype == np.uint16:
        array = array.view(np.float16 if "V2" not in name else "V2")
    decoded = decode_payload(encode_payload({"w": array}, codec=spec, strict=True))["w"]
    assert bits(decoded) == bits(array)


@settings(max_examples=80, deadline=None)
@given(
    words=st.lists(st.integers(0, 2**64 - 1), max_size=40),
    kind=st.sampled_from(["<f2", ">f2", "V2", "<f8", ">f8"]),
    spec=st.sampled_from(["sparse", "zlib", "raw", "sparse:int8", "auto"]),
    narrow=st.booleans(),
)
def test_any_bits_come_back(words, kind, spec, narrow):
    array = np.array(words, np.uint64)
    if narrow and kind.endswith("f8"):
        with np.errstate(all="ignore"):
            array = array.astype("<u4").view("<f4").astype("<f8").view("<u8")
    array = array.view(kind)
    decoded = decode_payload(encode_payload({"w": array}, codec=spec, strict=True))["w"]
    assert bits(decoded) == bits(array)  # one axis: no lossy codec serves it


def test_pruned_weights_of_every_type_cost_what_they_should():
    rng = np.random.default_rng(0)
    count = 200_000
    values = (rng.normal(size=count) * (rng.random(count) < 0.1)).reshape(400, 500)
    size = {kind: len(encode_payload({"w": of_type(kind, values)})) for kind in KINDS}
    assert size["<f2"] <= len(encode_payload({"w": of_type("<f2", values)}, codec="pcodec:8"))
    assert size["<f2"] < 0.6 * size["<f4"]
    assert size["V2"] == size["bfloat16"] < size["<f2"]
    assert size["float64 from float32"] <= size["<f4"] + 8
    assert size["<f8"] < size["<f4"] + 4.1 * np.count_nonzero(values)
    for kind in ("bfloat16", "<f2", "float64 from float32", "<f8"):
        lossy = len(encode_payload({"w": of_type(kind, values)}, codec="sparse:int8"))
        float32 = len(encode_payload({"w": of_type("<f4", values)}, codec="sparse:int8"))
        assert abs(lossy - float32) < 0.001 * float32 + 8
        zlib = [
            len(encode_payload({"w": of_type(kind, values)}, codec="zlib:6")),
            len(encode_payload({"w": of_type("<f4", values)}, codec="zlib:6")),
        ]
        assert zlib[0] <= zlib[1] + 8 or kind == "<f8"


def test_averages_in_float64_travel_as_int8_too():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(300, 400)) / 3
    payload = encode_payload({"w": values}, codec="sparse:int8")
    assert len(payload) < 4 * values.size / 3.5
    decoded = decode_payload(payload)["w"]
    assert decoded.dtype == np.float64
    assert np.abs(decoded - values).max() <= np.abs(values).max() / 127


@pytest.mark.parametrize("spec", LOSSY)
@pytest.mark.parametrize("kind", ["<f2", ">f2", "bfloat16", "float64 from float32", "<f8"])
def test_lossy_codecs_keep_type_mask_and_finiteness(spec, kind):
    largest = {"<f2": 65504.0, ">f2": 65504.0, "bfloat16": 3.3e38}.get(kind, 1e38)
    for scale in (1.0, 1e-7, largest / 6):
        values = np.clip(weights(2000, 0.5) * scale, -largest, largest)
        array = of_type(kind, values)
        decoded = decode_payload(encode_payload({"w": array}, codec=spec))["w"]
        assert decoded.dtype == array.dtype
        got, sent = decoded.astype(np.float64), array.astype(np.float64)
        assert np.isfinite(got).all()
        if "prune" not in spec and "lowrank" not in spec:
            assert np.array_equal(got != 0, sent != 0)


@pytest.mark.parametrize("spec", ["sparse", "sparse:int8"])
@pytest.mark.parametrize("held", ["<f2", "bfloat16", "<f4", "<f8"])
@pytest.mark.parametrize("sent", ["<f2", "V2", "<f4", "<f8", "float64 from float32"])
def test_a_base_of_any_float_type_serves_arrays_of_any(spec, held, sent):
    base = {"w": of_type(held, weights())}
    moved = {"w": of_type(sent, weights() * 1.001)}
    alone = encode_payload(moved, codec=spec)
    for use in ("mask", "values", "auto"):
        payload = encode_payload(moved, codec=spec, base=base, base_use=use)
        assert describe_payload(payload).base_need != "none"
        decoded = decode_payload(payload, base=base)
        if spec == "sparse":
            assert bits(decoded["w"]) == bits(moved["w"])
        assert len(payload) < len(alone) or spec != "sparse" or use == "values"
        bare = encode_payload(moved, codec=spec, base=base, base_use=use, self_contained=False)
        again = decode_payload(bare, base=base, template=Template.of(moved))
        assert bits(again["w"]) == bits(decoded["w"])


def test_a_base_with_nan_serves_too():
    base = {"w": np.where(np.arange(100) % 7, 1.0, np.nan).astype(np.float16)}
    sent = {"w": np.linspace(0.1, 2, 100, dtype=np.float32)}
    payload = encode_payload(sent, base=base, base_use="values")
    assert bits(decode_payload(payload, base=base)["w"]) == bits(sent["w"])


def test_without_ml_dtypes_bfloat16_is_two_bytes(monkeypatch):
    array = of_type("V2", weights())
    payload = encode_payload({"w": array})
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    decoded = decode_payload(payload)["w"]
    assert decoded.dtype == np.dtype("V2")
    assert bits(decoded) == bits(array)
    assert Template.of({"w": decoded}) == Template.of({"w": array})


def test_an_array_loaded_from_a_file_is_bfloat16(tmp_path):
    array = of_type("bfloat16", weights())
    np.save(tmp_path / "w.npy", array)
    loaded = np.load(tmp_path / "w.npy")
    assert encode_payload({"w": loaded}) == encode_payload({"w": array})


def test_ml_dtypes_is_loaded_for_bfloat16_alone():
    code = """if True:
        import sys
        import numpy as np
        from flwr_gan.wire import decode_payload, encode_payload
        for kind in ("f2", "f4", "f8"):
            decode_payload(encode_payload({"w": np.ones((9, 9), kind)}, codec="sparse:int8"))
        print("ml_dtypes" in sys.modules, "torch" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_zeros_lose_their_sign_in_every_type():
    for kind in ("<f2", "bfloat16", "<f4", "<f8"):
        array = of_type(kind, np.array([[-0.0, 1.5, -0.0, 0.0] * 20]))
        for spec in ("sparse", "zlib", "csr"):
            decoded = decode_payload(encode_payload({"w": array}, codec=spec))["w"]
            assert not np.signbit(decoded.astype(np.float32)).any()
        decoded = decode_payload(encode_payload({"w": array}, codec="raw"))["w"]
        assert bits(decoded) == bits(array)


def test_corrections_have_a_body_of_their_own():
    array = weights()
    info = describe_payload(encode_payload({"w": array, "v": array * np.pi}))
    assert len(info.bodies) == 2
    sizes = payload_sizes(encode_payload({"w": array}))
    assert sizes.header_bytes < 40
