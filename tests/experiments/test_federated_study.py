"""The federated study runs in small, counts what it says, and goes on where it stopped."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from flwr.clientapp import ClientApp
from flwr.server import ServerAppComponents, ServerConfig
from flwr.serverapp import ServerApp

from experiments.papers.compressibility_wgan.federated import __main__ as command
from experiments.papers.compressibility_wgan.federated import many_rounds, one_shot
from experiments.papers.compressibility_wgan.federated.many_rounds import MEASURES, RoundsCase
from experiments.papers.compressibility_wgan.federated.one_shot import PoolCase
from experiments.papers.compressibility_wgan.federated.plan import FULL, PLAIN, SHORT
from experiments.papers.compressibility_wgan.federated.stored import (
    affordable,
    float32_bytes,
    int8_bytes,
    zstd_bytes,
)
from experiments.study.app_runs import finish_run, plain_bytes
from experiments.study.cases import read_record, run_cases
from flwr_gan.app.federation import federation_from, load_federation
from flwr_gan.app.overrides import split_overrides
from flwr_gan.app.strategy import build_strategy
from flwr_gan.data import Samples
from flwr_gan.data.digits import load_digits
from flwr_gan.engine.run_apps import run_apps
from flwr_gan.errors import ConfigError, OutputError, TrainingError
from flwr_gan.wire import load

pytestmark = pytest.mark.usefixtures("quick_judge")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return the folder of a short study that has run."""
    folder = tmp_path_factory.mktemp("study")
    assert command.main(["--short", "--folder", str(folder)]) == 0
    return folder


def table(place, name):
    return pd.read_csv(place / "results" / f"{name}.csv")


@pytest.mark.slow
def test_uploads_and_pool_weigh_what_the_run_measured(place):
    (row,) = table(place, "one_shot").to_dict("records")
    (cell,) = place.glob("one_shot-*")
    sent = pd.read_csv(cell / "ticket" / "messages.csv").query(
        "kind == 'train' and direction == 'up'"
    )
    assert row["ticket_message_bytes"] == sent.message_bytes.sum()
    assert row["ticket_payload_bytes"] == row["ticket_pool_bytes"] == sent.payload_bytes.sum()
    assert row["ticket_int8_payload_bytes"] == row["int8_pool_bytes"] < row["ticket_payload_bytes"]
    dense = row["dense_float32_payload_bytes"]
    counts = 2 * 10 * 4  # each upload ends with the client's samples of each class
    assert dense >= 2 * 4 * row["parameters"] + counts
    assert row["dense_zstd_payload_bytes"] < dense < row["dense_float32_message_bytes"]
    assert row["data_float32_bytes"] == row["samples"] * (8 * 8 * 4 + 1)
    assert row["data_int8_bytes"] == row["samples"] * (8 * 8 + 1)
    assert row["sparsity"] == pytest.approx(1 - 0.8**2, abs=0.001)


@pytest.mark.slow
def test_the_dense_generators_are_those_that_the_tickets_were_pruned_from(place):
    (cell,) = place.glob("one_shot-*")
    dense, ticket = (
        load(cell / name / "generators" / "client-00000.fgan") for name in ("dense", "ticket")
    )
    assert list(dense) == list(ticket)
    *weights, counts = dense.values()
    *pruned, same_counts = ticket.values()
    assert (counts == same_counts).all()
    assert all(np.count_nonzero(w) == w.size for w in weights)
    assert any((w == 0).any() for w in pruned)


@pytest.mark.slow
def test_plain_flower_is_scored_by_the_lossless_wire(place):
    rounds = table(place, "many_rounds").query("strategy == 'FedAvg'").set_index("round")
    plain, lossless = (rounds[rounds.wire == wire] for wire in (PLAIN, "sparse"))
    assert len(plain) == SHORT.rounds
    assert plain[list(MEASURES)].notna().all(axis=None)
    pd.testing.assert_frame_equal(plain[list(MEASURES)], lossless[list(MEASURES)])
    assert (plain.bytes > lossless.bytes).all()
    assert (plain.total_bytes == plain.bytes.cumsum()).all()


@pytest.mark.slow
def test_plain_flower_trains_the_generator_of_the_lossless_wire_bit_for_bit(tmp_path):
    """But for the order in which it adds the replies, which is that of the clients here."""
    case = RoundsCase(SHORT, "digits", 0, "FedAvg", "sparse")
    overrides = case.overrides.replace("num_clients=2", "num_clients=4")
    overrides += " gan.local_iterations=2"
    finish_run(split_overrides(overrides), tmp_path)
    strategy, trained = build_strategy(load_federation(overrides)), {}
    strategy.evaluate_fn = lambda number, weights, _: trained.update({number: weights})
    average = strategy.aggregate_fit
    strategy.aggregate_fit = lambda number, replies, failures: average(
        number, sorted(replies, key=lambda reply: int(reply[0].cid)), failures
    )
    components = ServerAppComponents(strategy=strategy, config=ServerConfig(SHORT.rounds))
    run_apps(
        ServerApp(server_fn=lambda _: components),
        ClientApp(lambda context: federation_from(context).client(context).to_client()),
        num_supernodes=4,
        run_config={"overrides": overrides},
    )
    lossless = load(tmp_path / "generators" / "global.fgan").values()
    for plain, coded in zip(trained[SHORT.rounds], lossless, strict=True):
        assert plain.tobytes() == coded.tobytes()


def test_bytes_of_plain_flower_do_not_depend_on_the_weights():
    overrides = RoundsCase(SHORT, "digits", 0, "FedAvg", PLAIN).overrides
    one, three = (
        plain_bytes(f"{overrides} gan.local_iterations={n} output_dir=x{n}") for n in (1, 3)
    )
    pd.testing.assert_frame_equal(one, three)


@pytest.mark.slow
def test_pictures_page_and_run_are_written(place):
    results = place / "results"
    for name in ("one_shot.png", "quality_bytes.png"):
        assert (results / name).stat().st_size > 20_000
    page = (results / "tables.md").read_text()
    assert page.count("| --: |") >= 5
    run = json.loads((results / "run.json").read_text())
    assert run["command"].endswith("--short")
    assert run["runs"] == len(command.all_cases(SHORT))
    assert run["failed"] == {}
    assert str(place) not in json.dumps(run) + page


@pytest.mark.slow
def test_a_finished_study_is_not_run_again_and_a_lost_case_alone_is(place, monkeypatch, capsys):
    calls = []
    rows = {"rounds": [dict.fromkeys(many_rounds.COLUMNS, 1)]}
    monkeypatch.setattr(RoundsCase, "measure", lambda *a: calls.append(a) or rows)
    assert command.main(["--short", "--folder", str(place)]) == 0
    assert command.main(["--short", "--no-runs", "--folder", str(place)]) == 0
    assert not calls
    cases = command.all_cases(SHORT)
    record = place / next(c.name for c in cases if "rounds" in c.name) / "result.json"
    kept = record.read_text()
    record.unlink()
    assert run_cases(cases, place) == 0
    assert len(calls) == 1
    record.write_text(kept)
    assert "min left" in capsys.readouterr().out


def test_a_failed_case_is_shown_and_tried_again(tmp_path, monkeypatch, capsys):
    def fail(*_):
        raise TrainingError("the loss is not finite")

    kinds = (one_shot.PoolCase, one_shot.LongerCase, RoundsCase)
    for kind in kinds:
        monkeypatch.setattr(kind, "measure", fail)
    cases = command.all_cases(SHORT)
    assert run_cases(cases, tmp_path) == len(cases)
    assert "failed: the loss is not finite" in capsys.readouterr().out
    monkeypatch.setattr(RoundsCase, "measure", lambda *_: {"rounds": []})
    assert run_cases(cases, tmp_path) == len(cases) - len(SHORT.wires["digits"])


def test_a_damaged_record_is_named(tmp_path):
    (case, *_) = command.all_cases(SHORT)
    (tmp_path / case.name).mkdir()
    (tmp_path / case.name / "result.json").write_text("{")
    with pytest.raises(OutputError, match=r"result\.json"):
        read_record(case, tmp_path)


@pytest.mark.slow
def test_results_of_other_settings_are_not_taken_over(place):
    for other in (replace(SHORT, one_shot="data=digits"), replace(SHORT, prunings=3)):
        with pytest.raises(ConfigError, match="other settings"):
            run_cases(command.all_cases(other), place)


def test_levels_are_reached_once_and_never_where_they_are_not():
    rounds = pd.DataFrame(
        {
            "data": "d", "strategy": "s", "wire": "w", "seed": 0, "round": [1, 2, 3],
            "total_bytes": [10, 20, 30], "synthetic_accuracy": [0.5, 0.91, 0.7],
            "conditional_accuracy": [0.1, 0.2, 0.3], "frechet_distance": [30.0, 9.0, 4.0],
        }
    )  # fmt: skip
    reached = many_rounds.bytes_to_quality(rounds).set_index(["measure", "level"]).total_bytes
    assert reached["synthetic_accuracy", 0.9] == 20
    assert pd.isna(reached["synthetic_accuracy", 0.93])
    assert reached["frechet_distance", 20.0] == 20
    assert reached["frechet_distance", 5.0] == 30


def test_stored_data_and_what_a_budget_buys():
    train = load_digits().train
    assert len(float32_bytes(train)) == len(train) * (64 * 4 + 1)
    x_TCN = np.frombuffer(int8_bytes(train)[: train.x_NTC.size], np.int8).reshape(8, 8, -1)
    assert np.abs(x_TCN.transpose(2, 0, 1) / 127 - train.x_NTC).max() <= 0.5 / 127 + 1e-6
    some = affordable(train, 3000, np.random.default_rng(0))
    assert isinstance(some, Samples)
    assert 2500 < zstd_bytes(int8_bytes(some)) <= 3000
    assert len(affordable(train, 10**9, np.random.default_rng(0))) == len(train)


def test_the_full_plan_covers_what_it_should():
    cases = command.all_cases(FULL)
    assert sum(type(case) is PoolCase for case in cases) == 12
    assert len({case.name for case in cases}) == len(cases) == 40
