"""Flexpoint: 16 bits per weight, 5 bits per array, and what is beyond them."""

import numpy as np
import pytest

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire import decode_payload
from flwr_gan.wire.codecs.places import Places
from flwr_gan.wire.header import seal
from flwr_gan.wire.stages import get_stage
from tests.wire.stages.all_arrays import encode_payload

STAGE = get_stage("flexpoint")
LAYER = np.random.default_rng(9).normal(size=(30, 40)).astype(np.float32)


def exponent(*values):
    return int(STAGE.encode(np.array(values, np.float32))[0].side[0])


def test_the_exponent_is_the_largest_that_fits():
    assert exponent(1.0) == 14  # 2**15 would be one too many
    assert exponent(0.99) == 15
    assert exponent(-32767.0) == 0
    assert exponent(2.0**-17) == 31
    assert exponent(1e-30) == 31
    assert exponent(0.0) == 0
    # 0.99999 * 2**15 would round to 32,768.
    assert exponent(0.99999) == 14


@pytest.mark.parametrize("factor", [1e-3, 1.0, 1000.0])
def test_decoded_weights_are_whole_mantissas(factor):
    array = (LAYER * np.float32(factor)).astype(np.float32)
    coded, _ = STAGE.encode(array)
    decoded = STAGE.decode(coded).astype(np.float64)
    mantissas = decoded * 2.0 ** int(coded.side[0])
    assert np.array_equal(mantissas, np.rint(mantissas))
    assert 1 << 14 <= np.abs(mantissas).max() < 1 << 15
    assert np.abs(decoded - array).max() <= np.abs(array).max() * 2.0**-15


def test_what_has_few_bits_is_exact():
    array = np.array([[1.5, -0.25, 0, 100, -(2**-7)]], np.float32)
    assert np.array_equal(
        decode_payload(encode_payload({"w": array}, codec="flexpoint+sparse"))["w"], array
    )


def test_an_array_takes_a_byte_and_a_weight_two_before_coding():
    payload = encode_payload({"w": LAYER}, codec="flexpoint+raw", self_contained=False)
    plain = encode_payload({"w": LAYER}, codec="raw", self_contained=False)
    assert len(payload) == len(plain) - 2 * LAYER.size + 1 + 2
    packed = encode_payload({"w": LAYER}, codec="flexpoint+sparse")
    assert len(packed) < 2 * LAYER.size


def test_too_large_weights_are_refused():
    with pytest.raises(CodecError, match="codes weights up to 32767, not 40000; use cast:bf16"):
        STAGE.encode(np.array([40000], np.float32))


@pytest.mark.parametrize("codec", ["raw", "sparse"])
def test_damage_is_refused(codec):
    array = np.array([[1.0, 2.0, 3.0]], np.float32)
    data = bytearray(encode_payload({"w": array}, codec=f"flexpoint+{codec}")[:-4])
    with pytest.raises(PayloadError, match="5 bits"):
        STAGE.check_side(np.array([32], np.uint8))
    if codec == "raw":
        with pytest.raises(PayloadError, match="5 bits"):
            decode_payload(seal(bytes(data[:-1]) + b"\x20"))
    with pytest.raises(PayloadError, match="out of range"):
        STAGE.from_codes(
            np.array([0], np.uint16), Places(np.array([0]), (1,)), np.array([3], np.uint8)
        )
