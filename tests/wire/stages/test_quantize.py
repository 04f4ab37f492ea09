"""Integers of 1 to 8 bits: the papers' equations, granularities, the fit, and sizes on the wire."""

import numpy as np
import pytest

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire import decode_payload
from flwr_gan.wire.codecs import get_codec
from flwr_gan.wire.header import seal
from flwr_gan.wire.stages import get_stage
from flwr_gan.wire.stages.registry import stage_by_id
from tests.wire.stages.all_arrays import encode_payload, mse, received

RNG = np.random.default_rng(5)
LAYER = RNG.normal(size=(40, 50)).astype(np.float32)
MODEL = {"a": LAYER, "b": (LAYER[:7, :9] / 8).astype(np.float32), "bias": LAYER[0, :6] * 3}


def error(spec, array):
    return mse(received(spec, array), array)


@pytest.mark.parametrize("bits", range(2, 9))
def test_the_equations_of_paper_001(bits):
    largest = np.abs(LAYER).max().astype(np.float64)  # Eq. 4
    scale = (2 ** (bits - 1) - 1) / largest  # Eq. 5, with the largest code of so many bits
    wanted = np.rint(LAYER * scale) / scale  # Eq. 6
    got = received(f"quantize:int{bits}:layer", LAYER)
    kept = wanted != 0
    assert np.allclose(got[kept], wanted[kept], rtol=1e-6, atol=0)
    assert np.abs(got[~kept]).max(initial=0) < 1e-6 / scale
    codes = get_stage(f"quantize:int{bits}").encode(LAYER)[0].codes
    assert np.abs(codes).max() == 2 ** (bits - 1) - 1


@pytest.mark.parametrize("bits", range(1, 8))
def test_as_printed_paper_001_takes_a_bit_more(bits):
    scale = (2**bits - 1) / np.abs(LAYER).max().astype(np.float64)  # Eq. 5 as it stands
    wanted = np.rint(LAYER * scale) / scale
    assert np.allclose(received(f"quantize:int{bits + 1}", LAYER), wanted, rtol=1e-6, atol=1e-6)


def test_a_scale_is_the_least_that_reaches_the_largest_weight():
    array = LAYER.copy()
    array[0] *= 127 / 64 / np.abs(array[0]).max()  # its scale is a float32 exactly
    side = get_stage("quantize:int8:channel").encode(array)[0].side
    largest = np.abs(array).max(axis=1).astype(np.float64)
    assert (side.astype(np.float64) * 127 >= largest).all()
    assert (np.nextafter(side, np.float32(0)).astype(np.float64) * 127 < largest).all()


@pytest.mark.parametrize("spec", ["quantize:int4", "quantize:affine4", "quantize:em4", "ternary"])
def test_a_tensor_is_a_layer(spec):
    assert get_codec(f"{spec}:tensor+sparse").spec == f"{spec}:layer+sparse"


@pytest.mark.parametrize("bits", range(1, 9))
def test_affine_codes_reach_from_the_least_weight_to_the_largest(bits):
    array = np.linspace(1, 5, 2000, dtype=np.float32).reshape(40, 50)
    got = received(f"quantize:affine{bits}:layer", array)
    assert got.min() == array.min()
    assert np.isclose(got.max(), array.max(), rtol=1e-6)
    assert len(np.unique(got)) == 2**bits
    step = (float(array.max()) - float(array.min())) / (2**bits - 1)
    assert np.abs(got - array).max() <= step / 2 * (1 + 1e-5)
    if bits > 1:  # a zero point is worth a bit where all weights have one sign, and more
        assert error(f"quantize:affine{bits}", array) < error(f"quantize:int{bits}", array) / 4


@pytest.mark.parametrize("kind", ["int", "affine", "em"])
def test_more_groups_follow_the_weights_more_closely(kind):
    array = LAYER * np.logspace(-3, 0, 40, dtype=np.float32)[:, None]
    assert error(f"quantize:{kind}4:channel", array) < error(f"quantize:{kind}4:layer", array) / 4
    small = {}
    for granularity in ("layer", "network"):
        payload = encode_payload(MODEL, codec=f"quantize:{kind}4:{granularity}+sparse")
        small[granularity] = np.abs(decode_payload(payload)["b"] - MODEL["b"]).max()
    assert small["layer"] < small["network"] / 4


@pytest.mark.parametrize(("kind", "numbers"), [("int", 1), ("affine", 2), ("em", 2)])
def test_a_network_has_its_scale_once(kind, numbers):
    many = {str(at): np.full((2, 2), 1 + at / 50, np.float32) for at in range(50)}
    by_layer = encode_payload(many, codec=f"quantize:{kind}8:layer+raw")
    by_network = encode_payload(many, codec=f"quantize:{kind}8:network+raw")
    # Settings above 127 take a second byte in the header.
    assert len(by_layer) - len(by_network) == 49 * 4 * numbers - (kind == "em")
    got = decode_payload(by_network)
    assert all(np.abs(got[name] - many[name]).max() < 0.01 for name in many)
    assert decode_payload(encode_payload({}, codec=f"quantize:{kind}8:network+sparse")) == {}


def test_a_scale_for_each_bias_would_save_nothing():
    bias = LAYER[0]
    assert len(get_stage("quantize:affine4:channel").encode(bias)[0].side) == 2
    assert len(get_stage("quantize:affine4:channel").encode(LAYER)[0].side) == 80


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_the_fit_lowers_the_squared_error(bits):
    for granularity in ("layer", "channel"):
        fitted = error(f"quantize:em{bits}:{granularity}", LAYER)
        assert fitted < 0.9 * error(f"quantize:affine{bits}:{granularity}", LAYER)
    # For a normal distribution the best equal steps are known (Max 1960, Table II).
    best = {1: 0.3634, 2: 0.1188, 3: 0.03744, 4: 0.01154}[bits]
    many = np.random.default_rng(1).normal(size=20_000).astype(np.float32)
    assert error(f"quantize:em{bits}:layer", many) < 1.03 * best


def test_the_fit_is_never_worse_than_the_range():
    rng = np.random.default_rng(8)
    for _ in range(40):
        array = rng.standard_t(2, size=(6, 5)).astype(np.float32) * 10.0 ** rng.integers(-30, 30)
        array = array.astype(np.float32)
        for bits in (1, 2, 5, 8):
            for granularity in ("layer", "channel"):
                fitted = error(f"quantize:em{bits}:{granularity}", array)
                assert fitted <= error(f"quantize:affine{bits}:{granularity}", array) * (1 + 1e-6)


def test_fewer_bits_take_fewer_bytes():
    for codec in ("sparse", "zlib:9"):
        for kind, lowest in (("int", 2), ("affine", 1), ("em", 1)):
            sizes = [
                len(encode_payload({"w": LAYER}, codec=f"quantize:{kind}{bits}+{codec}"))
                for bits in range(lowest, 9)
            ]
            assert sizes == sorted(sizes)
            assert sizes[-1] < LAYER.nbytes / 3
    assert len(encode_payload({"w": LAYER}, codec="quantize:affine1+sparse")) < LAYER.nbytes / 24


def test_weights_that_range_too_far_are_refused():
    array = np.array([[-3e38, 3e38]], np.float32)
    with pytest.raises(CodecError, match="range too far; use more bits"):
        get_stage("quantize:affine1:layer").encode(array)
    assert np.array_equal(np.sign(received("quantize:affine2:layer", array)), [[-1, 1]])


def test_codes_out_of_range_are_refused():
    array = np.array([[1, 2, 3]], np.float32)
    bad = bytearray(encode_payload({"w": array}, codec="quantize:affine3:layer+raw")[:-4])
    bad[-8 - 3] = 100
    with pytest.raises(PayloadError, match="out of range"):
        decode_payload(seal(bytes(bad)))


def test_eight_bits_leave_no_code_over_so_that_the_mask_travels_beside():
    array = np.array([[1, 0, 2, 3, -128]], np.float32)
    payload = encode_payload({"w": array}, codec="quantize:affine8:layer+raw")
    assert payload[-4 - 1] == 0b11101
    assert np.array_equal(decode_payload(payload)["w"] != 0, array != 0)
    for mask, said in ((0b111101, "behind the end"), (0b11001, "a pruned weight has a code")):
        with pytest.raises(PayloadError, match=said):
            decode_payload(seal(payload[:-5] + bytes([mask])))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_side_numbers_are_checked(bad):
    stage = get_stage("quantize:affine4:layer")
    for side in ([bad, 0], [1, bad], [-1, 0]):
        with pytest.raises(PayloadError, match="scale or zero point"):
            stage.check_side(np.array(side, np.float32))


def test_all_settings_have_their_own_numbers():
    numbers = {}
    for parameter in range(256):
        try:
            numbers[parameter] = stage_by_id(1, parameter).spec
        except PayloadError:
            continue
    assert len(numbers) == len(set(numbers.values())) == 3 * (7 + 8 + 8)
    # As in payloads of the first version.
    assert [numbers[at] for at in (8, 4, 24)] == [
        "quantize:int8:layer",
        "quantize:int4:layer",
        "quantize:int8:channel",
    ]
