"""The benchmark of few clients in a round: what its rows count."""

import numpy as np
import pytest

from experiments.benchmarks import participation
from flwr_gan.data import Samples
from flwr_gan.wire.codecs import get_codec

SIZE = participation.Size(clients=4, images=80)


@pytest.fixture(autouse=True)
def images(monkeypatch):
    """Put images whose class is their brightest pixel in the place of MNIST."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 10
    x = rng.random((120, 28, 28)).astype(np.float32)
    x[np.arange(120), 0, labels] = 1.0
    data = Samples(x[:80], labels[:80]), Samples(x[80:], labels[80:])
    monkeypatch.setattr(participation, "_mnist", lambda: data)
    participation._shares.cache_clear()
    yield
    participation._shares.cache_clear()


@pytest.mark.slow
def test_a_row_counts_replies_and_leaves_out_the_first_broadcast_to_each_client():
    way = participation.Way("topk:0.05+int4", "topk:0.05+int4")
    few = participation.run(way, SIZE, share=0.25, rounds=6)
    every = participation.run(way, SIZE, share=1.0, rounds=3)
    assert (few["replies"], every["replies"]) == (6, 12)
    assert every["rounds_between"] == 1
    assert few["rounds_between"] > 1
    for row in (few, every):
        assert 0 <= row["accuracy"] <= 1
        assert row["up_payload_bytes"] < row["up_message_bytes"] < row["all_message_bytes"]
        # A first broadcast has all 50,890 weights in four bits or more.
        assert row["down_message_bytes"] < 50_890 / 2


def test_all_ways_are_known_to_the_wire():
    codecs = {codec for way in participation.WAYS for codec in (way.codec_up, way.codec_down)}
    assert {get_codec(codec).updates for codec in codecs} == {True, False}
    assert len(set(participation.WAYS)) == len(participation.WAYS)
