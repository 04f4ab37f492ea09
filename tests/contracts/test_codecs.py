"""Every codec, staged ones too, keeps the same promises."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire.codecs import codec_names, get_codec
from flwr_gan.wire.codecs.arrays import DTYPES

LOSSLESS = [*codec_names(), "sparse:pcodec", "auto", "auto:1000"]
LOSSY = [
    *(f"sparse:{kind}" for kind in ("int8", "int6", "int5", "int4", "fp16", "bf16")),
    "quantize:int8:channel+zstd:19",
    "quantize:int4:layer+raw",
    "quantize:int6:channel+sparse",
    "cast:bf16+lzma:9",
    "cast:fp16+pcodec",
    "quantize:int3:network+sparse",
    "quantize:affine8:layer+zlib:9",
    "quantize:affine3:channel+sparse",
    "quantize:em2:layer+raw",
    "quantize:em4:network+sparse",
    "codebook:16:layer+sparse",
    "codebook:256:network+zlib:9",
    "flexpoint+sparse",
    "flexpoint+zlib:9",
    "ternary:channel+sparse",
    "ternary:layer+zlib:9",
    "binary:layer+sparse",
    "binary:network+raw",
    "quantize:int8:layer+csr",
    "ternary:layer+rle",
    "budget:share:0.5+sparse",
    "budget:share:0.5+zlib:9",
]


def special_arrays():
    rng = np.random.default_rng(0)
    pruned = rng.normal(size=(40, 30)).astype(np.float32) * (rng.random((40, 30)) < 0.1)
    special = np.array([np.nan, np.inf, -np.inf, 1e-45, -1e-40, 0.0, -0.0, 3.4e38], np.float32)
    signalling = np.array([0x7F800001, 0xFFC00123, 0x7FC00000], np.uint32).view(np.float32)
    return {
        "empty": np.empty((0, 3), np.float32),
        "0-d": np.array(1.5, np.float32),
        "one": np.array([[-2.0]], np.float32),
        "all zero": np.zeros((5, 7), np.float32),
        "all negative zero": np.full((5, 7), -0.0, np.float32),
        "full": rng.normal(size=(7, 11)).astype(np.float32),
        "pruned": pruned,
        "special": special,
        "signalling": signalling,
        "subnormal": np.array([1e-45, -1e-45, 1e-39], np.float32),
        "transposed": pruned.T,
        "strided": pruned[::3, ::-2],
        "big endian": pruned.astype(">f4"),
        "half": rng.normal(size=9).astype(np.float16),
        "double": rng.normal(size=(3, 4)),
        "big double": np.array([1.0, -0.0, np.nan], ">f8"),
        "complex": np.array([1 + 2j, complex(-0.0, 3)], np.complex64),
        "0-d complex": np.array(complex(0, -0.0), np.complex128),
        "bool": rng.random(13) < 0.5,
        "int8": np.arange(-128, 128, dtype=np.int8),
        "int64": np.array(2**62),
        "big int": np.array([1, -2], ">i4"),
        "uint64": np.array([0, 2**64 - 1], np.uint64),
    }


def bits(array):
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).tobytes()


def cleaned(array):
    """Return the array with positive zeros alone, found without the code under test."""
    array = array.copy()
    flat = array.reshape(-1)
    if flat.dtype.kind == "c":
        flat = flat.view(flat.real.dtype)
    if flat.dtype.kind == "f":
        flat[flat == 0] = 0
    return array


def round_trip(codec, array, **options):
    blob = codec.encode(array, **options)
    assert isinstance(blob, bytes)
    assert codec.encode(array, **options) == blob
    decoded = codec.decode(blob, shape=array.shape, dtype=array.dtype)
    assert decoded.shape == array.shape
    assert decoded.dtype == array.dtype
    assert decoded.flags.writeable
    return decoded


@pytest.mark.parametrize("spec", LOSSLESS)
@pytest.mark.parametrize("name", special_arrays())
def test_lossless_is_bit_exact_but_for_the_sign_of_zeros(spec, name):
    array = special_arrays()[name]
    expected = array if spec == "raw" else cleaned(array)
    assert bits(round_trip(get_codec(spec), array)) == bits(expected)


@pytest.mark.parametrize("spec", LOSSLESS)
@pytest.mark.parametrize("name", special_arrays())
def test_strict_is_bit_exact(spec, name):
    array = special_arrays()[name]
    assert bits(round_trip(get_codec(spec), array, strict=True)) == bits(array)


@pytest.mark.parametrize("spec", [*LOSSLESS, *LOSSY])
def test_encoding_leaves_its_input_alone(spec):
    array = np.array([1.0, -0.0, 0.0, -2.0], np.float32)
    before = bits(array)
    get_codec(spec).encode(array)
    assert bits(array) == before


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    array=hnp.arrays(
        dtype=st.sampled_from([np.dtype(code) for code in DTYPES]),
        shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6),
    )
)
@pytest.mark.parametrize("spec", LOSSLESS)
def test_any_array_comes_back(spec, array):
    assert bits(round_trip(get_codec(spec), array, strict=True)) == bits(array)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    array=hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=9),
        elements=st.one_of(st.just(0.0), st.floats(-1000, 1000, width=32)),
    )
)
@pytest.mark.parametrize("spec", LOSSY)
def test_lossy_keeps_the_mask_and_its_bound(spec, array):
    decoded = round_trip(get_codec(spec), array)
    assert np.array_equal(decoded != 0, array != 0)
    peak = float(np.abs(array).max()) if array.size else 0.0
    step = {"int8": 127, "int6": 31, "int5": 15, "int4": 7}
    for kind, largest in step.items():
        if kind in spec:
            assert (np.abs(decoded - array.astype(float)) <= 0.5001 * peak / largest + 1e-44).all()
    if "fp16" in spec:
        assert (np.abs(decoded - array) <= np.abs(array) * 2.0**-11 + 2.0**-24).all()
    if "bf16" in spec:
        assert (np.abs(decoded - array) <= np.abs(array) * 2.0**-8 + 1e-40).all()


@pytest.mark.parametrize("spec", [spec for spec in LOSSY if "quantize" in spec or ":int" in spec])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_quantisation_refuses_what_has_no_scale(spec, value):
    with pytest.raises(CodecError, match="NaN or infinity"):
        get_codec(spec).encode(np.array([1.0, value], np.float32))


@pytest.mark.parametrize("spec", LOSSY)
def test_lossy_codecs_leave_other_types_alone(spec):
    for name in ("int64", "double", "bool", "half"):
        array = special_arrays()[name]
        assert bits(round_trip(get_codec(spec), array)) == bits(array)


@pytest.mark.parametrize("spec", [*LOSSLESS, *LOSSY])
def test_damaged_bytes_raise_payload_error_alone(spec):
    codec = get_codec(spec)
    array = special_arrays()["pruned"][:8, :8]
    blob = codec.encode(array)
    rng = np.random.default_rng(1)
    for end in range(len(blob)):
        expect_error_or_array(codec, blob[:end], array)
    for _ in range(150):
        damaged = bytearray(blob)
        damaged[rng.integers(len(blob))] ^= 1 << rng.integers(8)
        expect_error_or_array(codec, bytes(damaged), array)
        noise = rng.integers(0, 256, rng.integers(40), dtype=np.uint8).tobytes()
        expect_error_or_array(codec, noise, array)


def expect_error_or_array(codec, blob, array):
    try:
        decoded = codec.decode(blob, shape=array.shape, dtype=array.dtype)
    except PayloadError:
        return
    assert decoded.shape == array.shape


@pytest.mark.parametrize("spec", [*LOSSLESS, *LOSSY])
def test_sizes_are_checked_first(spec):
    codec = get_codec(spec)
    array = np.ones((10, 10), np.float32)
    blob = codec.encode(array)
    with pytest.raises(PayloadError, match="max_bytes"):
        codec.decode(blob, shape=(1 << 20, 1 << 10), dtype=np.float32)
    with pytest.raises(PayloadError, match="max_bytes=399"):
        codec.decode(blob, shape=array.shape, dtype=np.float32, max_bytes=399)
    assert codec.decode(blob, shape=array.shape, dtype=np.float32, max_bytes=400).shape == (10, 10)


@pytest.mark.parametrize("spec", LOSSLESS)
def test_a_wrong_shape_is_noticed(spec):
    codec = get_codec(spec)
    blob = codec.encode(np.arange(1, 1001, dtype=np.float32))
    for count in (0, 999, 1001, 100000):
        with pytest.raises(PayloadError):
            codec.decode(blob, shape=(count,), dtype=np.float32)


@pytest.mark.parametrize("spec", [*LOSSLESS, *LOSSY])
def test_specs_name_their_codec(spec):
    codec = get_codec(spec)
    assert get_codec(codec.spec).spec == codec.spec
    assert codec.lossless == (spec in LOSSLESS)


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([None]), np.zeros(2, "M8[s]")])
@pytest.mark.parametrize("spec", codec_names())
def test_other_types_are_refused(spec, array):
    with pytest.raises(CodecError, match="cannot be coded; allowed"):
        get_codec(spec).encode(array)
