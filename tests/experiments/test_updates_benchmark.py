"""The benchmark of compressed updates: peers, bytes of a round, tables, and runs in small."""

import sys

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from experiments.benchmarks.updates import classifier, cost, runs
from experiments.benchmarks.updates.__main__ import main
from experiments.benchmarks.updates.cases import PLAIN, Task, Wire
from experiments.benchmarks.updates.peer_wire import Sender, decode
from experiments.benchmarks.updates.peers import get_peer
from experiments.benchmarks.updates.results import summarise, tables
from experiments.benchmarks.updates.runs import Case, all_cases, by_round
from experiments.study.cases import read_record, run_cases
from flwr_gan.app.config import load_config
from flwr_gan.app.overrides import split_overrides
from flwr_gan.errors import CodecError

WEIGHTS = np.random.default_rng(0).standard_normal((40, 50)).astype(np.float32)
TINY = Task("classifier", "tiny", "accuracy", 0.5, 2, 1.0, images=100)


def test_all_cases_have_names_of_their_own_and_fit_into_five_hours():
    cases = list(all_cases("default", seeds=(0, 1, 2)))
    assert len({case.name for case in cases}) == len(cases)
    assert sum(case.work_s for case in cases) < 5 * 3600


def test_some_wires_run_with_the_first_seed_alone():
    cases = list(all_cases("default", seeds=(3, 4)))
    once = [case for case in cases if case.wire.once]
    assert {case.seed for case in once} == {3}
    assert sum(case.seed == 4 for case in cases) == sum(case.seed == 3 for case in cases) - len(
        once
    )


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["default", "short"])
def test_all_runs_of_gans_have_valid_settings(preset):
    for case in all_cases(preset, seeds=(0,)):
        if not case.task.images and case.wire.own:
            config = load_config(split_overrides(f"{case.overrides} output_dir=runs/{case.name}"))
            assert config.federation.rounds == case.rounds


@pytest.mark.parametrize("chosen", [["--task", "mnist"], ["--seeds", "1,1"]])
def test_mistakes_are_one_line(chosen, tmp_path, capsys):
    assert main([*chosen, "--folder", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert " ".join(chosen) in error
    assert error.count("\n") == 1


def test_an_unknown_peer_is_named():
    with pytest.raises(CodecError, match="fed_x' is unknown: allowed are openfl_stc"):
        get_peer("fed_x")
    with pytest.raises(CodecError, match="topk_npz:NUMBER"):
        get_peer("topk_npz:much")


def test_nncodec_says_what_it_needs(monkeypatch):
    monkeypatch.delenv("FLWR_GAN_NNCODEC", raising=False)
    with pytest.raises(CodecError, match="FLWR_GAN_NNCODEC=DIR/bin/python"):
        get_peer("nncodec").encode(WEIGHTS)
    monkeypatch.setenv("FLWR_GAN_NNCODEC", sys.executable)  # which does not have it
    with pytest.raises(CodecError, match="nncodec ended"):
        get_peer("nncodec").encode(WEIGHTS)


def test_peers_keep_what_they_promise():
    found = {}
    for spec in ("openfl_stc:0.1", "openfl_kc:6", "topk_npz:0.01"):
        peer = get_peer(spec)
        found[spec] = peer.decode(peer.encode(WEIGHTS), WEIGHTS.shape)
    ternary, clustered, few = found.values()
    kept = np.sort(np.abs(WEIGHTS).reshape(-1))[-200:]
    assert np.count_nonzero(ternary) == 200
    assert np.abs(ternary).max() == pytest.approx(kept.mean(), rel=1e-6)
    assert len(np.unique(clustered)) == 6
    assert np.square(WEIGHTS - clustered).mean() < 0.065 * np.square(WEIGHTS).mean()
    assert np.count_nonzero(few) == 20
    assert np.array_equal(few[few != 0], WEIGHTS[few != 0])


def test_a_peers_payload_is_what_its_sender_knows_and_feedback_brings_the_rest():
    peer = get_peer("topk_npz:0.25")
    sender = Sender(peer)
    held = {"w": np.zeros((4, 5), np.float32), "n": np.zeros(3, np.float32)}
    wanted = {"w": WEIGHTS[:4, :5], "n": np.arange(3, dtype=np.float32)}
    first = decode(Sender(peer).encode(wanted, {}), wanted, {}, peer)
    assert all(np.array_equal(first[name], wanted[name]) for name in wanted)
    for _ in range(4):
        arrays = {
            "w": held["w"] + (WEIGHTS[:4, :5] if not held["w"].any() else 0),
            "n": wanted["n"],
        }
        held = decode(sender.encode(arrays, held), arrays, held, peer)
        assert np.array_equal(held["n"], wanted["n"])
    assert np.allclose(held["w"], wanted["w"])


def test_round_0_is_the_first_broadcast_alone():
    carried = pd.DataFrame(
        {"up_message_bytes": [5, 6], "down_message_bytes": [100, 7],
         "up_payload_bytes": [3, 4], "down_payload_bytes": [90, 5]}, index=[1, 2],
    )  # fmt: skip
    table = by_round(carried, {1: 0.5, 2: 0.6})
    assert table["round"].tolist() == [0, 1, 2]
    assert table["down_message_bytes"].tolist() == [100, 0, 7]
    assert table["up_payload_bytes"].tolist() == [0, 3, 4]
    assert np.isnan(table["quality"][0])


def test_the_level_is_reached_where_the_mean_of_three_rounds_is_there():
    def run(wire, seed, quality, size):
        count = len(quality)
        return pd.DataFrame(
            {"task": "classifier", "codec_up": wire, "codec_down": wire, "seed": seed,
             "round": range(count), "quality": quality, "up_message_bytes": size,
             "down_message_bytes": size, "up_payload_bytes": 1, "down_payload_bytes": 1,
             "settings": ""}
        )  # fmt: skip

    fast, slow = [np.nan, 0.2, 0.6, 0.6, 0.6], [0.9, 0.1, 0.9, 0.4, 0.5]
    rows = [run(PLAIN, 0, fast, 100), run(PLAIN, 1, fast, 100), run("a", 0, fast, 10),
            run("a", 1, slow, 10)]  # fmt: skip
    plain, other = summarise(pd.concat(rows), [TINY]).to_dict("records")
    assert (plain["reached_round"], plain["reached_bytes"]) == (4, 1000)
    assert plain["reached_bytes_later"] == 800
    assert (other["reached_round"], other["reached_bytes"]) == (4, 100)
    assert (other["ratio_bytes"], other["ratio_up_bytes"]) == (10, 10)
    assert other["final"] == pytest.approx((0.6 + 0.6) / 2)


def narrow(seed):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Linear(20, 10)
    )


@pytest.fixture
def small(bars, monkeypatch):
    """Put a few made up images and a small network into the place of the real ones."""
    data = bars(100, 1000)
    monkeypatch.setattr(classifier, "_fashion_mnist", lambda: (data.train, data.test))
    monkeypatch.setattr(classifier, "network", narrow)
    classifier._split.cache_clear()
    yield
    classifier._split.cache_clear()


@pytest.mark.slow
def test_the_classifier_runs_and_is_not_run_again(small, tmp_path, forbid):
    cases = [
        Case(TINY, Wire(spec, spec), 0)
        for spec in (PLAIN, "topk:0.01+binary:network", "topk_npz:0.01")
    ]
    assert run_cases(cases, tmp_path) == 0
    ended = (read_record(case, tmp_path) for case in cases)
    plain, own, peer = (pd.DataFrame(record.result["rounds"]) for record in ended)
    dense = 10 * sum(array.nbytes for array in classifier.initial_arrays(0).values())
    assert plain["down_message_bytes"][0] > peer["down_message_bytes"][0] > dense
    assert own["up_message_bytes"][1] < peer["up_message_bytes"][1] / 1.5 < dense / 20
    assert plain["quality"].between(0, 1).all()
    forbid(runs, "_classifier")
    assert run_cases(cases, tmp_path) == 0
    found = tables([read_record(case, tmp_path) for case in cases])
    assert len(found["updates_summary.csv"]) == 3


@pytest.mark.slow
def test_a_table_of_costs(tmp_path, monkeypatch):
    monkeypatch.setattr(cost, "SHORT_WEIGHTS", 20_000)
    assert main(["--cost", "--short", "--folder", str(tmp_path)]) == 0
    table = pd.read_csv(tmp_path / "results" / "updates_cost.csv")
    assert table["ratio"][0] == 1
    assert table["codec"].tolist() == [cost.SELECTION, *cost.SPECS]


@pytest.mark.slow
def test_the_short_gans_run_and_are_reported(tmp_path, capsys):
    assert main(["--short", "--task", "gan_digits", "--folder", str(tmp_path)]) == 0
    table = pd.read_csv(tmp_path / "results" / "updates.csv")
    assert set(table["codec_up"]) > {PLAIN}
    assert table.groupby("codec_up")["round"].max().tolist() == [2, 2]
    assert main(["--report", "--short", "--folder", str(tmp_path / "none")]) == 1
    assert "run it without --report first" in capsys.readouterr().err
