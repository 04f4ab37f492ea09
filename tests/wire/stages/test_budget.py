"""Bits by layer: no choice of the same size is better, payloads keep to the budget."""

from itertools import product

import numpy as np
import pytest

from flwr_gan.errors import CodecError
from flwr_gan.wire import decode_payload, encode_payload
from flwr_gan.wire.stages import get_stage

RNG = np.random.default_rng(3)
MODEL = {
    "wide": (RNG.normal(size=(90, 60)) / 30).astype(np.float32),
    "heavy": RNG.standard_t(3, size=(40, 50)).astype(np.float32),
    "small": RNG.uniform(-1, 1, size=(30, 20)).astype(np.float32),
}


def noise(decoded):
    """Return the sum over layers of squared errors by squared weights."""
    pairs = zip(MODEL.values(), decoded, strict=True)
    return sum((np.linalg.norm(w - got) / np.linalg.norm(w)) ** 2 for w, got in pairs)


def alone(bits):
    """Return of each layer what so many bits make of it and the entropy of the codes in bytes."""
    found = []
    for layer in MODEL.values():
        scale = np.abs(layer).max().astype(float) / (2 ** (bits - 1) - 1)
        codes = np.rint(layer / scale)
        share = np.unique(codes, return_counts=True)[1] / layer.size
        size = -layer.size * float(share @ np.log2(share)) / 8
        found.append((codes * scale, size))
    return found


def received(budget):
    payload = encode_payload(MODEL, codec=f"budget:bytes:{budget}+sparse", lossy="all")
    decoded = decode_payload(payload)
    return len(payload), [decoded[name] for name in MODEL]


@pytest.mark.parametrize("budget", [1800, 2500, 3500, 5000, 6500])
def test_no_choice_of_the_same_size_has_a_smaller_error(budget):
    choices = {bits: alone(bits) for bits in range(2, 9)}
    _, decoded = received(budget)
    got = noise(decoded)
    every = []
    for bits in product(choices, repeat=len(MODEL)):
        one = [choices[b][at] for at, b in enumerate(bits)]
        every.append((sum(size for _, size in one), noise([w for w, _ in one])))
    size = next(size for size, error in every if np.isclose(error, got, rtol=1e-4))
    assert size <= budget
    assert got <= min(error for other, error in every if other <= size) * (1 + 1e-4)


def test_payloads_keep_to_the_budget_and_more_bytes_lose_less():
    found = [(budget, *received(budget)) for budget in (1800, 2500, 3500, 5000, 6500)]
    for budget, size, _ in found:
        assert size < 1.05 * budget + 100  # tables of frequencies, names, header
    errors = [noise(decoded) for _, _, decoded in found]
    assert errors == sorted(errors, reverse=True)
    shared = encode_payload(MODEL, codec="quantize:int5:network+sparse", lossy="all")
    _, decoded = received(len(shared))
    plain = decode_payload(shared)
    assert noise(decoded) < noise([plain[name] for name in MODEL])


def test_a_share_counts_pruned_weights_and_too_little_is_refused():
    half = {n: np.where(np.abs(w) > np.median(np.abs(w)), w, 0) for n, w in MODEL.items()}
    total = sum(w.nbytes for w in MODEL.values())
    by_share, by_bytes = (
        encode_payload(half, codec=f"budget:{amount}+sparse", lossy="all")
        for amount in ("share:0.1", f"bytes:{round(0.1 * total)}")
    )
    assert np.array_equal(decode_payload(by_share)["wide"], decode_payload(by_bytes)["wide"])
    with pytest.raises(CodecError, match="allows 10 bytes, and the fewest bits take"):
        get_stage("budget:bytes:10").encode(MODEL["small"])
