"""How small payloads of a real pruned generator are: ratios of float32 bytes to payload bytes."""

import numpy as np
import pytest

from flwr_gan.wire import (
    Template,
    decode_payload,
    encode_payload,
    encode_to_send,
    payload_sizes,
)

RATIOS = {
    "sparse": {"p0": 1.20, "p5": 3.48, "p10": 9.95, "p15": 29.2, "p17": 45.0},
    "sparse:pcodec": {"p0": 1.21, "p5": 3.51, "p10": 10.1, "p15": 29.9, "p17": 46.3},
    "sparse:int8": {"p5": 10.4, "p10": 26.3, "p15": 70, "p17": 106},
    "sparse:int6": {"p5": 13.2, "p10": 32, "p15": 84, "p17": 126},
    "sparse:int4": {"p5": 18, "p10": 41, "p15": 105, "p17": 155},
}
OUTPUT_CHANGE = {"sparse:int8": 0.003, "sparse:int6": 0.01, "sparse:int4": 0.03}


def ratio(payload, arrays):
    return sum(array.nbytes for array in arrays.values()) / len(payload)


@pytest.mark.parametrize(
    ("spec", "level"), [(spec, level) for spec, levels in RATIOS.items() for level in levels]
)
def test_ratio(generator, spec, level):
    arrays = generator(level)
    payload = encode_payload(arrays, codec=spec, self_contained=False)
    assert ratio(payload, arrays) >= RATIOS[spec][level]
    assert payload_sizes(payload).header_bytes <= 64
    decoded = decode_payload(payload, template=Template.of(arrays))
    for name, array in arrays.items():
        if "int" not in spec:
            assert np.array_equal(decoded[name], array)
        assert np.array_equal(decoded[name] != 0, array != 0)


def generate(arrays):
    """Return what the generator makes of fixed latents, as the weights' own page defines it."""
    latent = np.random.default_rng(0).standard_normal((4096, 64), dtype=np.float32)
    label = np.eye(39, dtype=np.float32)[np.arange(4096) % 39]
    hidden = np.maximum(np.concatenate([latent, label], 1) @ arrays["fc"].T, 0)
    hidden = np.maximum(convolve(hidden.reshape(4096, 256, 10), arrays["conv1"]), 0)
    return np.tanh(convolve(hidden, arrays["conv2"]))


def convolve(x_BCT, kernel):
    padded = np.pad(x_BCT, ((0, 0), (0, 0), (1, 1)))
    taps = [padded[:, :, shift : shift + 10] for shift in range(3)]
    return sum(np.einsum("oc,bct->bot", kernel[:, :, k], taps[k], optimize=True) for k in range(3))


@pytest.mark.slow
@pytest.mark.parametrize("spec", OUTPUT_CHANGE)
def test_output_change(generator, spec):
    arrays = generator("p17")
    decoded = decode_payload(encode_payload(arrays, codec=spec))
    wanted, got = generate(arrays), generate(decoded)
    change = np.sqrt(np.mean((got - wanted) ** 2, dtype=np.float64)) / wanted.std(dtype=np.float64)
    assert change < OUTPUT_CHANGE[spec]


@pytest.mark.parametrize(
    ("spec", "use", "wanted"),
    [
        ("sparse", "mask", 58),
        ("sparse", "values", 71),
        ("sparse:pcodec", "auto", 71),
        ("sparse:int6", "mask", 290),
        ("sparse:int8", "values", 180),
    ],
)
def test_ratio_where_the_mask_is_known(generator, spec, use, wanted):
    arrays = generator("p17")
    base = decode_payload(encode_payload(generator("p17_prev"), codec=spec))
    payload = encode_payload(arrays, codec=spec, base=base, base_use=use, self_contained=False)
    assert ratio(payload, arrays) >= wanted
    decoded = decode_payload(payload, template=Template.of(arrays), base=base)
    assert np.array_equal(decoded["fc"] != 0, arrays["fc"] != 0)


def test_nearly_all_of_a_change_arrives(generator):
    arrays, held = generator("p17"), generator("p17_prev")
    for spec, least in (("sparse:int8", 0.9999), ("sparse:int6", 0.999), ("sparse:int4", 0.97)):
        assert encode_to_send(arrays, codec=spec, base=held).arrived_share > least


def test_mask_update(generator):
    arrays, base = generator("p17"), generator("p16")
    for use, most in (("mask", 900), ("derive", 40)):
        payload = encode_payload(arrays, base=base, base_use=use, self_contained=False)
        assert payload_sizes(payload).mask_bytes <= most
        decoded = decode_payload(payload, template=Template.of(arrays), base=base)
        assert np.array_equal(decoded["conv1"], arrays["conv1"])
