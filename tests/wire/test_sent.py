"""What is known of a payload when it is sent: what arrives, what is lost, what comes later."""

import math
from contextlib import nullcontext

import numpy as np
import pytest

from flwr_gan import wire
from flwr_gan.wire import (
    Base,
    decode_payload,
    encode_payload,
    encode_to_send,
)
from flwr_gan.wire.codecs import compiled
from flwr_gan.wire.codecs.stage import lost
from flwr_gan.wire.sent import _left_over, _with_residual

LOSSY = [
    "sparse:int8",
    "sparse:int4",
    "quantize:int8:channel+zlib",
    "sparse:bf16",
    "ternary+sparse",
]


def arrays(seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    w = rng.normal(size=(40, 30)) * (rng.random((40, 30)) < 0.4)
    return {
        "w": w.astype(dtype),
        "bias": rng.normal(size=30).astype(dtype),
        "steps": np.array(7),
        "-0": np.array([-0.0, 1.0], dtype),
    }


def test_nothing_is_left_of_arrays_of_zeros():
    sent = {"w": arrays()["w"], "zero": np.zeros((9, 9), np.float32)}
    assert set(encode_to_send(sent, codec="sparse:int8").residual) == {"w"}


def bits(named):
    return {
        name: (a.dtype, a.shape, np.ascontiguousarray(a).tobytes()) for name, a in named.items()
    }


@pytest.mark.parametrize("spec", ["raw", "zlib", "sparse", "auto", "csr", *LOSSY])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_decoded_is_what_the_receiver_decodes(spec, dtype):
    held, sent = arrays(1, dtype), arrays(2, dtype)
    for base in (None, held, Base(held)):
        made = encode_to_send(sent, codec=spec, base=base)
        assert made.payload == encode_payload(sent, codec=spec, base=base)
        assert bits(made.decoded) == bits(decode_payload(made.payload, base=base))
        assert not any(array.flags.writeable for array in made.decoded.values())
        if spec in LOSSY:
            assert set(made.residual) == {"w"}
            assert made.residual["w"].dtype == np.float32
            assert not made.residual["w"][sent["w"] == 0].any()
            assert made.arrived_share > 0.5 or "ternary" in spec
        else:
            assert made.residual == {}
            assert math.isnan(made.arrived_share)
    assert all(array.flags.writeable for array in sent.values())


def test_bfloat16_and_tensors_are_decoded_as_the_receiver_has_them():
    torch = pytest.importorskip("torch")
    weights = torch.randn(20, 20, generator=torch.Generator().manual_seed(0))
    for spec in ("raw", "zlib", "sparse", "auto", "auto:1e6", "sparse:int8"):
        for tensor in (weights, weights.bfloat16(), weights.bfloat16().requires_grad_()):
            tensor = torch.where(tensor.detach() < 0, -0.0, tensor)
            made = encode_to_send({"w": tensor}, codec=spec)
            assert bits(made.decoded) == bits(decode_payload(made.payload))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("spec", ["sparse:int4", "quantize:int4:channel+zlib", "sparse:int8"])
def test_what_is_lost_is_sent_later(spec, dtype):
    sent = arrays(0, dtype)
    residual, total, rounds = None, 0, 32
    for _ in range(rounds):
        made = encode_to_send(sent, codec=spec, residual=residual)
        residual = made.residual
        assert np.array_equal(made.decoded["w"] != 0, sent["w"] != 0)
        assert np.array_equal(made.decoded["bias"], sent["bias"])
        total = total + made.decoded["w"].astype(np.float64)
    once = np.abs(decode_payload(encode_payload(sent, codec=spec))["w"] - sent["w"]).max()
    assert np.abs(total / rounds - sent["w"].astype(np.float64)).max() < 3 * once / rounds


def test_residual_is_wanted_less_decoded():
    sent = arrays()
    earlier = {"w": np.full((40, 30), 0.01, np.float32)}
    made = encode_to_send(sent, codec="sparse:int8", residual=earlier)
    wanted = np.where(sent["w"] != 0, sent["w"] + earlier["w"], 0)
    assert np.array_equal(made.residual["w"], wanted - made.decoded["w"])


def test_the_share_that_arrived():
    rng = np.random.default_rng(0)
    held = {"w": rng.normal(0, 0.02, (250, 400)).astype(np.float32), "b": np.zeros(9, np.float32)}
    change = rng.uniform(-3e-4, 3e-4, (250, 400)).astype(np.float32)
    moved = {"w": held["w"] + change, "b": np.ones(9, np.float32)}
    made = encode_to_send(moved, codec="sparse:int8", base=held)
    lost = moved["w"].astype(np.float64) - made.decoded["w"]
    change = moved["w"].astype(np.float64) - held["w"]
    assert made.arrived_share == pytest.approx(1 - np.sum(lost**2) / np.sum(change**2), abs=1e-6)
    alone = encode_to_send(moved, codec="sparse:int8")
    lost = moved["w"].astype(np.float64) - alone.decoded["w"]
    share = 1 - np.sum(lost**2) / np.sum(moved["w"].astype(np.float64) ** 2)
    assert alone.arrived_share == pytest.approx(share, abs=1e-6)
    # An array that the base has in another shape changes as a whole.
    other = encode_to_send(moved, codec="sparse:int8", base={"w": held["w"].T})
    assert other.arrived_share == alone.arrived_share
    nothing = encode_to_send(held, codec="sparse:int8", base=held)
    assert math.isnan(nothing.arrived_share) or nothing.arrived_share == 1


def test_residuals_that_belong_to_nothing_are_ignored():
    sent = arrays()
    strange = {
        "w": np.ones((30, 40), np.float32),
        "gone": np.ones(3, np.float32),
        "steps": np.array(1, np.float32),
    }
    made = encode_to_send(sent, codec="sparse:int8", residual=strange)
    assert made.payload == encode_payload(sent, codec="sparse:int8")


def test_a_residual_changes_neither_mask_nor_sign_nor_finiteness():
    w = np.linspace(0, 2, 100, dtype=np.float32).reshape(10, 10)
    w[0, 1] = 3.3e38
    residual = {"w": -w + np.float32(-1)}
    residual["w"][3] = -w[3]
    residual["w"][0, :2] = 3e38
    made = encode_to_send({"w": w}, codec="sparse:bf16", residual=residual)
    decoded = made.decoded["w"]
    assert np.array_equal(decoded != 0, w != 0)
    assert decoded.min() >= 0
    assert np.isfinite(decoded).all()
    signed = w.copy()
    signed[9, 9] = -1
    free = encode_to_send({"w": signed}, codec="sparse:bf16", residual=residual)
    assert free.decoded["w"][5, 5] < 0  # where there was one, there may be others


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_an_array_that_is_exact_by_now_delivers_its_residual(dtype):
    sent = arrays(0, dtype)
    before = encode_to_send(sent, codec="sparse:int4")
    beyond = {**sent, "w": sent["w"].copy()}
    beyond["w"][0, 0] = np.inf
    made = encode_to_send(beyond, codec="sparse:int4", residual=before.residual)
    assert made.residual == {}
    total = made.decoded["w"][1:].astype(np.float64) + before.decoded["w"][1:]
    step = {"f2": 4e-3, "f4": 1e-6, "f8": 1e-6}[dtype]
    assert np.allclose(total, 2 * sent["w"][1:].astype(np.float64), atol=step)


def test_a_lossless_codec_delivers_what_a_lossy_one_left():
    sent = arrays()
    before = encode_to_send(sent, codec="sparse:int4")
    made = encode_to_send(sent, codec="sparse", residual=before.residual)
    assert np.allclose(made.decoded["w"] + before.decoded["w"], 2 * sent["w"], atol=1e-6)
    assert bits(made.decoded) == bits(decode_payload(made.payload))


def test_nothing_to_send():
    for spec in ("raw", "sparse", "sparse:int8"):
        made = encode_to_send({}, codec=spec)
        assert made.decoded == made.residual == decode_payload(made.payload) == {}


def test_feedback_is_the_short_form_of_what_is_sent():
    arrays = {"w": np.random.default_rng(0).normal(size=(30, 40)).astype(np.float32)}
    sent = wire.encode_to_send(arrays, codec="sparse:int4")
    payload, residual = wire.encode_with_feedback(arrays, None, codec="sparse:int4")
    assert payload == sent.payload
    assert all(np.array_equal(residual[name], sent.residual[name]) for name in sent.residual)
    again, _ = wire.encode_with_feedback(arrays, residual, codec="sparse:int4")
    assert again != payload


def awkward(seed: int, count: int) -> np.ndarray:
    """Return weights of which some are zeros, huge, or the smallest numbers."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=count).astype(np.float32)
    odd = np.array([0, 0, -0.0, 3.4e38, -3.4e38, 1e-45, -1e-45], np.float32)
    at = rng.random(count) < 0.2
    values[at] = rng.choice(odd, int(at.sum()))
    return values


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 70_001])
def test_numba_and_numpy_leave_over_the_same(count):
    if not compiled.load():
        pytest.skip("numba is not installed")
    aim, got, near, rest = (awkward(seed, count) for seed in range(4))
    for some in (aim, np.abs(aim)):
        found = []
        for way in (nullcontext(), compiled.without_numba()):
            with way:
                left, alone = np.empty_like(some), some.copy()
                sums = _left_over(some, got, near, left)
                others = _left_over(alone, got, None, alone)
                moved = _with_residual(some, rest)[0]
            found.append([left.tobytes(), alone.tobytes(), moved.tobytes(), sums, others])
        assert found[0] == found[1]
        assert not left[some == 0].any()
        assert sums == pytest.approx(
            [np.sum(np.float64(lost(some, of_other)) ** 2) for of_other in (got, near)]
        )
