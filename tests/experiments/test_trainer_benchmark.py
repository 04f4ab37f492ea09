"""The benchmark of the trainer measures every path."""

import numpy as np
import pandas as pd
import pytest

from experiments.benchmarks import sparse_layers, trainer, trainer_tickets
from flwr_gan.gan import GanConfig

SETTINGS = ("gan=small", "gan.batch_size=4", "gan.critic_iterations=1", "gan.channels=[4,4]")
TINY = GanConfig(latent_dim=4, channels=(4, 4), critic_hidden=(8, 8), batch_size=4)


@pytest.mark.parametrize("short", [True, False])
@pytest.mark.slow
def test_the_table_has_a_row_for_each_setting_and_path(short, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(trainer, "SETTINGS", dict.fromkeys(trainer.SETTINGS, SETTINGS))
    monkeypatch.setattr(trainer, "CLIENTS", (2,))

    def once(measure):
        return lambda config, **settings: measure(config, **settings | {"least_s": 0, "repeats": 1})

    for name in ("measure_paths", "measure_clients"):
        monkeypatch.setattr(trainer, name, once(getattr(trainer, name)))
    tickets = [{"part": "iteration", "ratio": 1.5}]
    monkeypatch.setattr(trainer, "measure_tickets", lambda **_: tickets)
    file = tmp_path / "trainer.csv"
    assert trainer.main(["--output", str(file), *(["--short"] if short else [])]) == 0
    assert pd.read_csv(tmp_path / "trainer_tickets.csv").to_dict("records") == tickets
    table = pd.read_csv(file)
    found = list(zip(table["gan"], table["clients"], table["path"], strict=True))
    settings = trainer.SHORT if short else trainer.SETTINGS
    paths = ("plain", "closed_form", "autograd")
    assert found == [
        *((name, 1, path) for name in settings for path in paths),
        ("small", 2, "one_after_another"),
        ("small", 2, "together"),
    ]
    assert (table["steps_per_s"] > 0).all()
    assert "closed_form" in capsys.readouterr().out


def test_ratios_are_those_of_the_times_taken_in_turn():
    class Fixed:
        def __init__(self, *seconds):
            self.left = list(seconds)

        def seconds(self, iterations):
            assert iterations == 1
            return self.left.pop(0)

    paths = {"plain": Fixed(9, 2, 8, 6), "fast": Fixed(9, 1, 2, 2)}  # the first call warms up
    plain, fast = trainer._rows(paths, TINY, clients=3, repeats=3, least_s=9)
    assert plain["ratio"] == plain["ratio_highest"] == 1
    assert (fast["ratio_lowest"], fast["ratio"], fast["ratio_highest"]) == (2, 3, 4)
    assert fast["steps_per_s"] == 3 * TINY.critic_iterations / 2


@pytest.mark.slow
def test_tickets_are_trained_sampled_and_searched_for(monkeypatch):
    monkeypatch.delenv("FLWR_GAN_WEIGHTS", raising=False)
    monkeypatch.setattr(trainer_tickets, "SAMPLED", 10)
    tickets = trainer_tickets.Tickets(critic_iterations=1)
    for part, prunings in (("iteration", 0), ("iteration", 17), ("sampling", 17), ("search", 5)):
        assert tickets.seconds(part, prunings) > 0
    for P, shares in trainer_tickets.TICKETS.items():
        kept = [np.mean(array != 0) for array in tickets._weights[P].values()]
        assert kept == pytest.approx(shares, abs=1e-3)
    ranks, last = tickets._ranks(), tickets._weights[17]
    for name, array in last.items():
        assert ranks[name][array != 0].min() > ranks[name][array == 0].max()


def test_tickets_are_compared_in_turn():
    class Fixed:
        def __init__(self, *seconds):
            self.left = list(seconds)

        def seconds(self, part, prunings):
            return self.left.pop(0)

    processes = {"now": Fixed(9, 1, 2, 2), "dense": Fixed(9, 2, 8, 6), "before": Fixed(9, 1, 1, 1)}
    dense, before = trainer_tickets._compared(processes, "search", 17, 5, 3)
    assert (dense["against"], dense["against_ms"], dense["now_ms"]) == ("dense", 6000, 2000)
    assert (dense["ratio_lowest"], dense["ratio"], dense["ratio_highest"]) == (2, 3, 4)
    assert (before["against"], before["ratio"]) == ("before", 0.5)


def test_a_folder_without_a_checkout_is_refused(tmp_path, monkeypatch, capsys):
    assert trainer.main(["--tickets", "--before", str(tmp_path)]) != 0
    assert "is no checkout" in capsys.readouterr().err


@pytest.mark.parametrize("name", sparse_layers.SHORT)
def test_sparse_layers_are_measured(name):
    rows = sparse_layers.measure(name, 2, 0.03, repeats=1)
    assert [row["pass"] for row in rows] == ["samples", "learning"]
    assert all(row["chosen"] and row["ratio"] > 0 for row in rows)


def test_the_table_of_sparse_layers(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sparse_layers, "DENSITIES", (0.5,))
    monkeypatch.setattr(sparse_layers, "SHORT", ("paper conv2",))
    file = tmp_path / "sparse_layers.csv"
    assert sparse_layers.main(["--short", "--output", str(file)]) == 0
    assert list(pd.read_csv(file)["pass"]) == ["samples", "learning"]
    assert "paper conv2" in capsys.readouterr().out
