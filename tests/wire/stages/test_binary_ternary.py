"""Binary and ternary weights: the best scales, bits on the wire, bad bytes and bad specs."""

import numpy as np
import pytest

from flwr_gan.errors import PayloadError
from flwr_gan.wire import decode_payload, payload_sizes
from flwr_gan.wire.header import seal
from flwr_gan.wire.stages import get_stage
from tests.wire.stages.all_arrays import encode_payload, mse, received

RNG = np.random.default_rng(6)
LAYER = RNG.normal(size=(16, 25)).astype(np.float32)
MODEL = {"a": LAYER, "b": (LAYER[:7, :9] / 8).astype(np.float32), "bias": LAYER[0, :6] * 3}


def test_binary_is_sign_times_mean():
    got = received("binary:layer", LAYER)
    assert np.allclose(got, np.sign(LAYER) * np.abs(LAYER).mean(), rtol=1e-6)
    by_row = received("binary:channel", LAYER)
    wanted = np.sign(LAYER) * np.abs(LAYER).mean(axis=1, keepdims=True)
    assert np.allclose(by_row, wanted, rtol=1e-6)
    pruned = np.where(np.abs(LAYER) > 1, LAYER, 0).astype(np.float32)
    kept = received("binary:layer", pruned)
    assert np.allclose(
        kept[pruned != 0], np.sign(pruned[pruned != 0]) * abs(pruned[pruned != 0]).mean()
    )


@pytest.mark.parametrize("name", ["binary", "ternary"])
def test_no_other_scale_is_better(name):
    got = received(f"{name}:layer", LAYER)
    scale = float(np.abs(got).max())
    for factor in (0.8, 0.9, 0.95, 0.99, 1.01, 1.05, 1.1, 1.3):
        s = scale * factor
        other = np.sign(LAYER) * s * ((np.abs(LAYER) > s / 2) if name == "ternary" else 1)
        assert mse(got, LAYER) < mse(other, LAYER)


def test_ternary_against_every_number_of_large_weights():
    for seed in range(20):
        array = np.random.default_rng(seed).standard_t(2, size=(3, 11)).astype(np.float32)
        sizes = np.sort(np.abs(array.astype(np.float64)), axis=1)[:, ::-1]
        best = []
        for row in sizes:
            totals = [(row[:m].mean(), row[:m].sum() ** 2 / m) for m in range(1, len(row) + 1)]
            best.append(max(totals, key=lambda pair: pair[1])[0])
        assert np.allclose(np.abs(received("ternary:channel", array)).max(axis=1), best, rtol=1e-6)


def test_ternary_of_a_normal_distribution():
    many = np.random.default_rng(1).normal(size=20_000).astype(np.float32)
    got = received("ternary", many)
    # Known: threshold 0.612, weight 1.224, error 0.1902 (Max 1960, Table I).
    assert np.isclose(np.abs(got).max(), 1.224, atol=0.02)
    assert np.isclose(mse(got, many), 0.1902, atol=0.005)
    assert np.isclose(np.mean(np.abs(got) > 0.1), 0.54, atol=0.02)


@pytest.mark.parametrize("name", ["binary", "ternary"])
@pytest.mark.parametrize("granularity", ["layer", "channel"])
def test_the_error_is_bounded_as_stated(name, granularity):
    array = np.random.default_rng(3).standard_t(3, size=(5, 40)).astype(np.float32)
    got = received(f"{name}:{granularity}", array)
    axis = 1 if granularity == "channel" else None
    scale = np.abs(got).max(axis=axis, keepdims=True)
    peak = np.abs(array).max(axis=axis, keepdims=True)
    least = scale if name == "binary" else scale / 2
    assert (np.abs(got - array) <= np.maximum(least, peak - scale) * (1 + 1e-6)).all()


@pytest.mark.parametrize("name", ["binary", "ternary"])
def test_granularities(name):
    errors = {}
    for granularity in ("channel", "layer", "network"):
        got = decode_payload(encode_payload(MODEL, codec=f"{name}:{granularity}+sparse"))
        errors[granularity] = sum(mse(got[key], MODEL[key]) * MODEL[key].size for key in MODEL)
        sizes = {len(np.unique(np.abs(got[key])[np.abs(got[key]) > 1e-4])) for key in ("a", "b")}
        assert (max(sizes) > 1) == (granularity == "channel")
    assert errors["channel"] < errors["layer"] < errors["network"]


def test_a_survivor_takes_a_bit_or_a_trit():
    many = {"w": np.random.default_rng(2).normal(size=(250, 400)).astype(np.float32)}
    sizes = payload_sizes(encode_payload(many, codec="binary:layer+sparse"))
    assert sizes.value_bytes < 100_000 / 8 + 80
    sizes = payload_sizes(encode_payload(many, codec="ternary:layer+sparse"))
    assert sizes.value_bytes < 100_000 * np.log2(3) / 8
    assert len(encode_payload(many, codec="binary:layer+zlib:9")) < 100_000 / 6


@pytest.mark.parametrize(("name", "bad"), [("binary", 2), ("binary", 254), ("ternary", 3)])
def test_codes_out_of_range_are_refused(name, bad):
    payload = encode_payload({"w": np.array([[1, 2, -3]], np.float32)}, codec=f"{name}+raw")
    data = bytearray(payload[:-4])
    data[-4 - 3] = bad
    with pytest.raises(PayloadError, match="out of range"):
        decode_payload(seal(bytes(data)))


@pytest.mark.parametrize("name", ["binary", "ternary"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_scales_are_checked(name, bad):
    with pytest.raises(PayloadError, match="scale"):
        get_stage(name).check_side(np.array([bad], np.float32))
