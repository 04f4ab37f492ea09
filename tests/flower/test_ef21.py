"""EF21: progress that both sides keep, what arrives with it, and what happens when it is lost."""

from unittest.mock import Mock

import numpy as np
import pytest
from flwr.serverapp.strategy import FedAvg

from flwr_gan.errors import CodecError
from flwr_gan.flower import CompressedMessageStrategy
from flwr_gan.flower.progress import Progress, advanced, made
from flwr_gan.flower.settings import WireSettings
from flwr_gan.wire import decode_payload, encode_to_send
from tests.flower.numbers_app import run

TARGET = np.random.default_rng(0).normal(size=(30, 20)).astype(np.float32)


def test_progress_of_three_and_one_is_that_of_the_paper():
    """The update (3, 1) twice, one of two weights a time: (3, 0), then (3, 1)."""
    held = {"w": np.full((2, 40), 8, np.float32) + np.arange(40, dtype=np.float32) / 64}
    update = np.tile(np.array([[3.0], [1.0]], np.float32), (1, 40))
    progress = None
    for expected in ([3, 0], [3, 1]):
        near = advanced(held, progress)
        sent = encode_to_send({"w": held["w"] + update}, codec="topk:0.5", base=near)
        progress = made(sent.decoded, held)
        assert np.allclose(progress["w"], np.array(expected)[:, None])


def test_pruned_weights_and_other_arrays_have_no_progress():
    held = {"w": np.array([1, 0, 2], np.float32), "n": np.arange(3)}
    moved = advanced(held, {"w": np.ones(3, np.float32), "n": np.ones(3, np.float32)})
    assert moved["w"].tolist() == [2, 0, 3]
    assert moved["n"] is held["n"]
    assert list(made(moved, held)) == ["w"]
    assert made({"w": np.ones(4, np.float32)}, held) == {}


def test_a_token_names_what_is_kept():
    kept = Progress()
    assert kept.token(1, "arrays") == ""
    kept.put(1, "arrays", {"w": TARGET})
    first = kept.token(1, "arrays")
    kept.put(1, "arrays", {"w": TARGET + 1})
    assert first
    assert kept.token(1, "arrays") not in ("", first)
    assert kept.token(2, "arrays") == ""


def test_the_progress_of_many_nodes_is_on_disk():
    kept = Progress(memory_bytes=2 * TARGET.nbytes)
    for node in range(10):
        kept.put(node, "arrays", {"w": TARGET + np.float32(node), "file": TARGET[:0]})
    assert (len(kept._kept), len(kept._kept._on_disk)) == (10, 8)
    for node in range(10):
        found = kept.get(node, "arrays")
        np.testing.assert_array_equal(found["w"], TARGET + np.float32(node))
        assert list(found) == ["w", "file"]
        assert found["file"].shape == TARGET[:0].shape
    assert kept.token(3, "arrays") not in ("", kept.token(4, "arrays"))


def towards(arrays, context):
    """Go a fifth of the way to a target of the node's own."""
    own = TARGET * (1 + context.node_config["partition-id"])
    return {"w": arrays["w"] + np.float32(0.2) * (own - arrays["w"])}


@pytest.mark.long
@pytest.mark.parametrize("feedback", [True, "ef21"])
def test_a_model_gets_where_the_mean_of_the_clients_is(feedback, monkeypatch):
    decode = Mock(wraps=decode_payload)
    monkeypatch.setattr("flwr_gan.flower.reply.decode_payload", decode)
    strategy = CompressedMessageStrategy(
        FedAvg(fraction_evaluate=0.0), codec_up="topk:0.2+int8", codec_down="sparse",
        feedback=feedback,
    )  # fmt: skip
    start = {"w": np.ones((30, 20), np.float32)}
    found = run(strategy, start, towards, rounds=60)[0]["w"]
    assert not any(strategy.failures.values())
    assert np.linalg.norm(found - 2 * TARGET) < 0.1 * np.linalg.norm(2 * TARGET)
    up = [row for row in strategy.ledger.rows if row.direction == "up"]
    assert decode.call_count == len(up)  # each reply once
    assert max(row.payload_bytes for row in up if row.round > 1) < 0.2 * TARGET.nbytes


def test_unknown_ways_are_explained():
    with pytest.raises(CodecError, match="allowed: true, false, ef21"):
        WireSettings(feedback="ef22")
