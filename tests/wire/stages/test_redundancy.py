"""Binary by redundancy: which layers, by channels and area; what they cost, and what stays."""

import numpy as np
import pytest

from flwr_gan.errors import CodecError
from flwr_gan.wire import decode_payload
from flwr_gan.wire.codecs import get_codec
from flwr_gan.wire.stages import get_stage
from tests.wire.stages.all_arrays import encode_payload, received

RNG = np.random.default_rng(13)
# Depth 8: channels of the layers' inputs, and height times width of these.
CHANNELS, AREAS = (64, 32, 16, 8), (16, 64, 256, 1024)
SMALL = {
    "fc": RNG.normal(size=(20, 3)).astype(np.float32),
    "conv": RNG.normal(size=(6, 9, 3)).astype(np.float32),
    "bias": RNG.normal(size=9).astype(np.float32),
    "steps": np.array(7),
}


@pytest.mark.parametrize(("area", "chosen"), [(1, True), (8, True), (9, True), (10, False)])
def test_a_convolution_is_binary_unless_its_redundancy_is_negative(area, chosen):
    decoded = decode_payload(encode_payload(SMALL, codec=f"redundancy:{area}+sparse"))
    wanted = received("binary:layer", SMALL["conv"]) if chosen else SMALL["conv"]
    assert np.array_equal(decoded["conv"], wanted)
    assert np.array_equal(decoded["fc"], received("binary:layer", SMALL["fc"]))  # an input of 1 x 1
    for name in ("bias", "steps"):
        assert np.array_equal(decoded[name], SMALL[name])


def test_the_layout_says_which_axis_has_the_input():
    array = SMALL["conv"]
    for area, as_conv, as_transposed in ((6, True, True), (8, True, False), (10, False, False)):
        for layout, chosen in (("conv", as_conv), ("transposed", as_transposed)):
            assert get_stage(f"redundancy:{area}:{layout}").is_redundant(array.shape) == chosen
    assert not get_stage("redundancy:1").is_redundant((5,))
    assert not get_stage("redundancy:1").is_redundant(())


@pytest.mark.parametrize("depth", [1, 4, 16, 64])
def test_one_number_divides_layers_as_the_measure_does(depth):
    channels = [depth * at for at in CHANNELS]
    redundant = [c - area >= 0 for c, area in zip(channels, AREAS, strict=True)]
    above = [c for c, chosen in zip(channels, redundant, strict=True) if chosen]
    number = min(above, default=channels[0] + 1)
    stage = get_stage(f"redundancy:{number}:transposed")
    assert [stage.is_redundant((c, 5, 4, 4)) for c in channels] == redundant


def test_pruned_weights_stay_pruned():
    pruned = {"w": np.where(np.abs(SMALL["conv"]) > 1, SMALL["conv"], 0).astype(np.float32)}
    decoded = decode_payload(encode_payload(pruned, codec="redundancy:3+sparse"))["w"]
    assert np.array_equal(np.sign(decoded), np.sign(pruned["w"]))
    mean = np.abs(pruned["w"][pruned["w"] != 0]).mean()
    assert np.allclose(np.abs(decoded[decoded != 0]), mean, rtol=1e-6)


def test_behind_it_a_binary_weight_takes_few_bits_and_keeps_its_size():
    wide = RNG.normal(size=(64, 64, 4, 4)).astype(np.float32)
    narrow = RNG.normal(size=(8, 8, 4, 4)).astype(np.float32)
    arrays = {"wide": wide, "narrow": narrow}
    payload = encode_payload(arrays, codec="redundancy:16+quantize:int8:layer+sparse")
    assert len(payload) < 1.55 * wide.size / 8 + narrow.size + 100
    decoded = decode_payload(payload)
    assert np.allclose(decoded["wide"], received("binary:layer", wide), rtol=1e-6)
    assert np.abs(decoded["narrow"] - narrow).max() <= np.abs(narrow).max() / 254 * 1.0001
    plain = encode_payload(arrays, codec="redundancy:16+lzma:9")
    assert len(plain) < 1.6 * wide.size / 8 + narrow.nbytes


def test_numbers_that_are_not_finite_are_refused_where_they_have_no_sign():
    array = SMALL["conv"].copy()
    array[0, 0, 0] = np.inf
    with pytest.raises(CodecError, match="NaN or infinity"):
        get_codec("redundancy:9+sparse").encode_bundle([array])
    decoded = decode_payload(encode_payload({"w": array}, codec="redundancy:10+sparse"))
    assert np.array_equal(decoded["w"], array)
