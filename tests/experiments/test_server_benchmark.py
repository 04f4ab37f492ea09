"""The server's benchmark aggregates the same replies by every way and writes three tables."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from flwr.common import parameters_to_ndarrays

from experiments.benchmarks import server
from experiments.benchmarks.server_large import CODECS
from flwr_gan.errors import FlwrGanError


@pytest.fixture(autouse=True)
def made_up_weights(monkeypatch):
    monkeypatch.delenv("FLWR_GAN_WEIGHTS", raising=False)


def averaged(made: server.Replies) -> list[np.ndarray]:
    results = [
        (client, server.as_it_came(result))
        for client, result in sorted(made.results, key=lambda pair: int(pair[0].cid))
    ]
    return parameters_to_ndarrays(made.strategy.aggregate_fit(1, results, [])[0])


def test_all_lossless_ways_give_flowers_average():
    weights = server.generator()
    ways = ["FedAvg, dense", "FedAvg, sparse", "SparseFedAvg, sparse"]
    dense, *coded = (averaged(server.replies(way, weights, clients=3)) for way in ways)
    assert any((a != b).any() for a, b in zip(dense, weights, strict=True))
    for arrays in coded:
        assert [a.tobytes() for a in arrays] == [a.tobytes() for a in dense]


def test_weights_are_read_where_there_are_any(monkeypatch, tmp_path):
    flat = np.arange(2560 * 103 + 128 * 256 * 3 + 3 * 128 * 3, dtype=np.float32)
    np.save(tmp_path / "generator_p17.npy", flat)
    monkeypatch.setenv("FLWR_GAN_WEIGHTS", str(tmp_path))
    assert np.array_equal(np.concatenate([a.ravel() for a in server.generator()]), flat)


@pytest.mark.slow
def test_tables(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(server, "ROUND_CLIENTS", 2)
    monkeypatch.setattr(server, "ROUND_WEIGHTS", 1000)
    monkeypatch.setattr(server, "SHORT", (4, 1, 0.001, 64**2))
    assert server.main(["--short", "--output", str(tmp_path / "server.csv")]) == 0
    replies, rounds = (pd.read_csv(tmp_path / name) for name in ("server.csv", "server_round.csv"))
    assert list(replies["strategy"]) == list(server.KINDS)
    assert (replies[["ms_a_client", "peak_mb", "reply_bytes"]] > 0).all().all()
    assert replies["ratio"][0] == replies["times_as_fast"][0] == 1
    assert np.allclose(
        replies["peak_models"], replies["peak_mb"] * 2**20 / (4 * 363_136), rtol=1e-3
    )
    assert (replies["peak_models"][3:] < 6).all()  # survivors alone
    assert (rounds["round_s"] > 2 * 0.001).all()
    assert rounds["overhead_ms_a_client"][0] == 0
    large = pd.read_csv(tmp_path / "server_large.csv")
    assert list(large["strategy"]) == list(CODECS)
    assert (large["arrays"] == 161).all()
    assert (large["server_ms_a_client"] > 0).all()
    assert large["ratio"][0] == 1
    assert "times_as_fast" in capsys.readouterr().out


def test_refused_replies_are_not_measured():
    made = server.replies("FedAvg, sparse", server.generator(), clients=2)
    for _, result in made.results:
        coded = result.received.replies
        result.received.replies = {n: replace(c, payload=b"damaged") for n, c in coded.items()}
    with pytest.raises(FlwrGanError, match="refused"):
        made.aggregate()
