"""Runs with a virtual clock: the same training, and tables that say how long it would take."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from experiments.results_table import closing_table, read_results
from experiments.sweep_jobs import Job
from flwr_gan.app.run import Run
from flwr_gan.client_app import app as client_app
from flwr_gan.engine.run_apps import run_apps
from flwr_gan.errors import ConfigError, TrainingError
from flwr_gan.server_app import app as server_app
from flwr_gan.server_app import prepare_run_config
from tests.integration.test_runs import messages, same_run, untimed

pytestmark = pytest.mark.usefixtures("quick_judge")

SLOW = "links=mixed devices=mixed federation.num_clients=3"


@pytest.mark.long
def test_a_clock_changes_nothing_but_what_is_written(simulate):
    plain = simulate("evaluation=none federation.num_clients=3", folder="plain")
    timed = simulate(f"evaluation=none {SLOW}", folder="timed")
    with_clock, without = untimed(timed)[1], untimed(plain)[1]
    assert with_clock.drop(columns="virtual_s").equals(without)
    assert messages(timed).message_bytes.equals(messages(plain).message_bytes)
    assert with_clock.virtual_s.is_monotonic_increasing
    assert with_clock.virtual_s.iloc[0] > 0
    clients = pd.read_csv(timed / "clients.csv")
    assert list(clients.exchanges) == [len(without)] * 3
    phases = clients[["receiving_s", "training_s", "sending_s", "idle_s"]].sum(axis=1)
    assert list(phases) == pytest.approx([with_clock.virtual_s.iloc[-1]] * 3)
    assert (timed / "clients.png").exists()
    assert not (plain / "clients.csv").exists()


@pytest.mark.long
def test_the_same_on_both_engines_and_in_a_run_from_its_own_table(simulate):
    first = simulate(f"{SLOW} evaluation=clients", folder="inline")
    second = simulate(f"{SLOW} evaluation=clients", folder="processes", backend="processes")
    assert same_run(first, second)
    table = first / "clients.csv"
    text = f"links={table} devices={table} federation.num_clients=3 evaluation=clients"
    third = simulate(text, folder="file")
    assert same_run(first, third)


def test_late_replies_are_dropped_and_said(simulate):
    folder = simulate(f"evaluation=none {SLOW} clock.deadline_s=1.0", folder="deadline")
    rounds, rows = untimed(folder)[1], messages(folder)
    assert (rounds.virtual_s.diff().dropna() <= 1.0 + 1e-9).all()
    assert (rounds.late > 0).all()
    assert (rounds.clients == 3 - rounds.late).all()
    assert (rows.kind == "late").sum() == rounds.late.sum()
    assert pd.read_csv(folder / "clients.csv").late.sum() == rounds.late.sum()


def test_the_first_of_more_clients_close_a_round(simulate):
    text = "evaluation=none links=mixed federation.num_clients=4 federation.fraction=0.5"
    folder = simulate(f"{text} clock.over_selection=1.5", folder="more")
    rounds = untimed(folder)[1]
    assert list(rounds.clients) == [2] * len(rounds)
    assert list(rounds.late) == [1] * len(rounds)


def test_when_nobody_is_in_time_the_run_says_so(simulate):
    with pytest.raises(TrainingError, match=r"every reply was late: raise clock\.deadline_s"):
        simulate(f"evaluation=none {SLOW} clock.deadline_s=0.001")


@pytest.mark.slow
def test_a_resumed_run_goes_on_with_its_clock(simulate, monkeypatch):
    settings = f"evaluation=none {SLOW} clock.deadline_s=1.5"
    whole = simulate(settings, folder="whole")
    write_state = Run.write_state

    def killed(run, checkpoint):
        write_state(run, checkpoint)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "write_state", killed)
        with pytest.raises(KeyboardInterrupt):
            simulate(settings, folder="part")
    part = whole.parent / "part"
    assert len(untimed(part)[1]) == 1
    run_config, nodes = prepare_run_config(f"resume={part}", None)
    run_apps(server_app, client_app, num_supernodes=nodes, run_config=run_config)
    assert same_run(whole, part)
    for name in ("clients.csv", "timeline.csv"):
        assert (part / name).read_text() == (whole / name).read_text()


@pytest.mark.slow
def test_other_codecs_have_their_own_time(simulate):
    folder = simulate(f"evaluation=none {SLOW} also_codecs=[raw]", folder="also")
    alone = simulate(f"evaluation=none {SLOW} codec=raw", folder="alone")
    ours = pd.read_csv(folder / "also" / "raw" / "rounds.csv").virtual_s
    assert list(ours) == pytest.approx(list(untimed(alone)[1].virtual_s))
    assert ours.iloc[-1] > untimed(folder)[1].virtual_s.iloc[-1]


@pytest.mark.slow
def test_measured_seconds_are_used(simulate):
    for backend in ("inline", "processes"):
        folder = simulate(
            f"evaluation=none {SLOW} clock.compute=measured", folder=backend, backend=backend
        )
        timeline = pd.read_csv(folder / "timeline.csv")
        assert timeline.compute_s.nunique() == len(timeline)
        assert timeline.compute_s.between(1e-4, 600).all()


@pytest.mark.slow
def test_when_a_quality_was_reached(simulate):
    text = f"evaluation=server {SLOW}"
    easy = simulate(f"{text} target=synthetic_accuracy:0", folder="easy")
    summary = json.loads((easy / "summary.json").read_text())
    first = untimed(easy)[1].virtual_s.iloc[0]
    assert summary["to_target"] == {"rounds_to_target": 1, "virtual_s_to_target": first}
    assert (easy / "virtual_time.png").exists()
    hard = simulate(f"{text} target=frechet_distance:0", folder="hard")
    summary = json.loads((hard / "summary.json").read_text())
    assert set(summary["to_target"].values()) == {None}
    table = pd.concat([read_results(easy), read_results(hard)])
    assert list(table.virtual_s_to_target.fillna(-1)) == [first, -1]
    assert "virtual s to target" in closing_table(table.reset_index(drop=True))


@pytest.mark.parametrize("timed", ["clock.deadline_s", "clock.over_selection"])
def test_jobs_of_a_sweep_train_alone_where_the_codec_decides_who_is_late(timed, tmp_path):
    plain = Job(("codec=zlib",), {"codec": "zlib"}, "", tmp_path)
    assert plain.shares_training
    assert not replace(plain, values=plain.values | {timed: 2.0}).shares_training


@pytest.mark.long
def test_each_client_has_the_codec_of_its_link(simulate):
    settings = f"evaluation=none {SLOW} strategy=fedavg federation.rounds=2"
    slow_first = simulate(f"{settings} codec_up='sparse:int4<3:sparse:int8<5:sparse'")
    speeds = pd.read_csv(slow_first / "clients.csv").up_mbit_s
    replies = messages(slow_first).query("direction == 'up'")
    assert set(replies[replies["round"] == 1].codec) == {"sparse"}  # nobody is known yet
    later = replies[replies["round"] == 2].set_index("client")
    expected = ["sparse:int4" if v < 3 else "sparse:int8" if v < 5 else "sparse" for v in speeds]
    assert list(later.codec.sort_index()) == expected
    assert later.payload_bytes[speeds.idxmin()] < 0.3 * later.payload_bytes[speeds.idxmax()]
    own = simulate(f"{settings} codec=auto:link", folder="auto")
    rows = messages(own).query("direction == 'up'").set_index(["round", "client"])
    assert rows.codec[2, int(speeds.idxmin())] == "auto:1 > sparse"
    assert rows.codec[2, int(speeds.idxmax())] == "auto:10 > sparse"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("codec_up=auto:link", "codec_up=auto:link goes by the clients' links: set links"),
        ("clock.deadline_s=5", "clock.deadline_s=5 needs a clock: set links or devices"),
        ("links=lna", r"links='lna' is not allowed.*nearest: lan"),
        ("devices=phone", r"devices='phone' is not allowed.*nearest: phones"),
        ("links=lan clock.deadline=5", r"unknown key|clock.deadline.*clock.deadline_s"),
        ("target=synthetic:0.9", r"target='synthetic:0.9' is not allowed: give MEASURE:VALUE"),
        ("links=lan clock.over_selection=2 also_codecs=[raw]", "who is late depends on the codec"),
        ("clock.compute=measured federation.clients_at_once=2", "the time of one client cannot"),
    ],
)
def test_settings_that_do_not_go_together_are_named(simulate, text, message):
    with pytest.raises(ConfigError, match=message) as problem:
        simulate(f"evaluation=none {text}")
    assert "\n" not in str(problem.value)
