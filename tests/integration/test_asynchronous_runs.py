"""Runs without common rounds: the order of virtual time, bases by version, what is refused."""

import numpy as np
import pandas as pd
import pytest

from flwr_gan.app.asynchronous import AsTheyCome, Sent
from flwr_gan.app.client import GanClient
from flwr_gan.app.run import Run
from flwr_gan.errors import ConfigError, TrainingError
from flwr_gan.flower.broadcasts import Broadcaster
from flwr_gan.wire import load
from tests.integration.test_runs import messages, resume, same_run, untimed

MIXED = "evaluation=none links=mixed devices=mixed federation.num_clients=4"
BUFFERED = f"{MIXED} strategy=fedbuff strategy.buffer_size=3 federation.rounds=8"


def timeline(folder):
    return pd.read_csv(folder / "timeline.csv")


@pytest.mark.long
@pytest.mark.parametrize("strategy", ["fedbuff", pytest.param("fedasync", marks=pytest.mark.slow)])
def test_the_same_run_on_both_engines(simulate, strategy):
    settings = f"{MIXED} strategy={strategy} federation.rounds=6"
    runs = [simulate(settings, folder=name, backend=name) for name in ("inline", "processes")]
    assert same_run(*runs)
    assert timeline(runs[0]).equals(timeline(runs[1]))
    weights = [load(run / "generators" / "global.fgan") for run in runs]
    assert all(np.array_equal(a, b) for a, b in zip(*(w.values() for w in weights), strict=True))


@pytest.mark.long
def test_each_version_takes_as_many_replies_in_the_order_of_virtual_time(simulate):
    folder = simulate(BUFFERED)
    rounds, events = untimed(folder)[1], timeline(folder)
    arrivals = sorted(events.arrived_s)
    assert list(rounds.virtual_s) == pytest.approx(arrivals[2:24:3])
    assert (rounds.clients == 3).all()
    for _, own in events.groupby("client"):
        begun, arrived = own.begun_s.to_numpy(), own.arrived_s.to_numpy()
        assert (begun[1:] == arrived[:-1]).all()  # nobody waits
    fastest, slowest = events.client.value_counts().iloc[[0, -1]]
    assert fastest > 2 * slowest
    assert rounds.staleness.max() > 0


@pytest.mark.slow
def test_who_trained_on_an_older_version_sends_and_is_sent_a_small_difference(simulate):
    one = simulate(f"{BUFFERED} strategy.buffer_size=1 federation.rounds=24", folder="differences")
    rows = messages(one)
    first = rows[(rows.direction == "down") & (rows["round"] == 1)].payload_bytes.max()
    later = rows[rows["round"] > 1]
    assert later[later.direction == "up"].payload_bytes.max() < 0.85 * first
    assert later[later.direction == "down"].payload_bytes.max() < 0.95 * first


@pytest.mark.slow
def test_a_version_that_a_node_has_is_not_forgotten(simulate, monkeypatch):
    forgotten = []
    encode = Broadcaster._encode

    def watched(self, source, held, record, started):
        forgotten.append(held is None)
        return encode(self, source, held, record, started)

    monkeypatch.setattr(Broadcaster, "_encode", watched)
    simulate(f"{BUFFERED} strategy.buffer_size=1 federation.rounds=24")
    assert forgotten[0]
    assert not any(forgotten[1:])


@pytest.mark.long
@pytest.mark.parametrize(
    "codec", [pytest.param("sparse:int8", marks=pytest.mark.slow), "topk:0.1+int4"]
)
def test_lossy_codecs_travel(simulate, codec):
    folder = simulate(f"{BUFFERED} codec={codec}")
    rows = messages(folder)
    assert list(untimed(folder)[1].clients) == [3] * 8
    assert rows.payload_bytes.mean() < 0.3 * rows.dense_bytes.mean()


@pytest.mark.slow
def test_of_more_clients_than_are_to_work_others_take_their_turns(simulate):
    settings = f"{BUFFERED} federation.num_clients=6 federation.fraction=0.5"
    folder = simulate(settings, folder="some")
    events = timeline(folder)
    ends = sorted([(t, -1) for t in events.arrived_s] + [(t, 1) for t in events.begun_s])
    at_work = np.cumsum([change for _, change in ends])
    assert at_work.max() <= 3
    assert events.client.nunique() > 3


@pytest.mark.long
def test_a_client_that_fails_is_asked_again_with_the_next_version(simulate, monkeypatch):
    fit = GanClient.fit

    def failing(self, parameters, config):
        if self._partition == 1:
            raise RuntimeError("no")
        return fit(self, parameters, config)

    monkeypatch.setattr(GanClient, "fit", failing)
    folder = simulate(f"{BUFFERED} federation.rounds=4")
    rounds = untimed(folder)[1]
    assert list(rounds.failures) == [1, 1, 1, 1]
    assert list(rounds.clients) == [3] * 4


def test_when_all_fail_the_run_says_why(simulate, monkeypatch):
    def failing(self, parameters, config):
        raise RuntimeError("no")

    monkeypatch.setattr(GanClient, "fit", failing)
    with pytest.raises(TrainingError, match=r"no client delivered anything in round 1: .*no"):
        simulate(f"{BUFFERED} federation.rounds=2")


def test_without_links_all_clients_are_alike(simulate):
    folder = simulate("evaluation=none strategy=fedbuff strategy.buffer_size=2 federation.rounds=3")
    assert list(untimed(folder)[1].virtual_s) == pytest.approx([0.02, 0.04, 0.06])


def test_on_other_grids_replies_count_as_they_come(simulate, monkeypatch):
    """Without a clock, as under ``flwr run``; a node that has left is one that failed."""
    monkeypatch.setattr("flwr_gan.app.timing.InlineGrid", type("Other", (), {}))
    folder = simulate("evaluation=none strategy=fedbuff strategy.buffer_size=2 federation.rounds=3")
    rounds = untimed(folder)[1]
    assert list(rounds.clients) == [2, 2, 2]
    assert "virtual_s" not in rounds


class LeavingGrid:
    """A grid whose only node leaves."""

    inner = property(lambda self: self)

    def push_messages(self, messages):
        return ["1" for _ in messages]

    def pull_messages(self, message_ids):
        return []

    def get_node_ids(self):
        return []


def test_a_node_that_has_left_is_not_waited_for():
    replies, sent = AsTheyCome(LeavingGrid()), Sent(2, None, 1, None, None)
    replies.send(sent)
    assert replies.receive() == (sent, None)
    assert replies.receive() is None


def test_a_node_that_takes_too_long_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(LeavingGrid, "get_node_ids", lambda self: [2])
    replies, sent = AsTheyCome(LeavingGrid(), timeout_s=0.1), Sent(2, None, 1, None, None)
    replies.send(sent)
    assert replies.receive() == (sent, None)


def test_resuming_is_refused(simulate, monkeypatch, tmp_path):
    write_state = Run.write_state

    def killed(run, checkpoint):
        write_state(run, checkpoint)
        raise KeyboardInterrupt

    monkeypatch.setattr(Run, "write_state", killed)
    with pytest.raises(KeyboardInterrupt):
        simulate(BUFFERED, folder="part")
    monkeypatch.undo()
    (part,) = (path for path in simulate.__closure__[0].cell_contents.iterdir())
    with pytest.raises(
        ConfigError, match="clients of FedBuff were at work when it was interrupted"
    ):
        resume(part)


@pytest.mark.parametrize(
    "setting",
    ["evaluation=clients", "feedback=ef21", "also_codecs=[raw]", "clock.deadline_s=3 links=lan",
     "clock.over_selection=2 links=lan", "drift=new_classes", "regeneration=rg_fast",
     "privacy=dp_critic"],
)  # fmt: skip
def test_what_needs_common_rounds_is_refused(simulate, setting):
    with pytest.raises(ConfigError, match=r"beside FedBuff, whose clients have no round in common"):
        simulate(f"strategy=fedbuff federation.rounds=2 {setting}")


def test_a_number_of_versions_is_needed(simulate):
    with pytest.raises(ConfigError, match="needs a number of rounds"):
        simulate("strategy=fedbuff")
