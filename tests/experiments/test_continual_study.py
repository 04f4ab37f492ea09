"""The study of continual learning: its grid, one tiny run, what regained weights carry."""

import numpy as np
import pandas as pd
import pytest

from experiments.continual.__main__ import main
from experiments.continual.cases import WAYS, Case, _measured, _shared
from experiments.study import app_runs
from flwr_gan.app.config import load_config


@pytest.mark.parametrize("way", WAYS)
def test_every_way_is_a_valid_config(way):
    config = load_config(
        Case(way=way, seed=1, overrides=("regeneration.pace=2",)).settings["overrides"]
    )
    assert (config.regeneration is None) == (way in ("no regeneration", "neither"))
    assert config.seed == 1


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (["--seeds", "0,0"], "each once"),
        (["--seeds", "x"], "--seeds x"),
        (["--ways", "hope"], "--ways hope: allowed are as the preset"),
        (["--report"], "no run in"),
    ],
)
def test_bad_options_end_in_one_line(given, named, tmp_path, capsys):
    assert main([*given, "--folder", str(tmp_path)]) in (1, 2)
    error = capsys.readouterr().err
    assert named in error
    assert error.count("\n") == 1


def test_what_is_taken_away_was_freed_or_in_use_all_along_and_serves_all_classes():
    rng = np.random.default_rng(0)
    before = {"fc.weight": np.ones((6, 5), np.float32), "conv1.weight": np.ones(8, np.float32)}
    before["fc.weight"][:3] = 0
    before["conv1.weight"][:4] = 0
    arrays = {name: np.ones_like(array) for name, array in before.items()}
    arrays["conv1.weight"][0] = 0
    seen = []

    def score(weights):
        seen.append(weights)
        return {"old": 1.0, "new": float(sum((a == 0).sum() for a in weights.values()))}

    row = _measured(arrays, before, _shared(arrays, latent_dim=3), score, rng)
    assert row["freed"] == 19 / 38
    assert row["regained"] == 18 / 38
    assert row["regained_shared"] == (9 + 3) / 38  # six label weights are left alone
    assert row["pruned_at_end"] == 1 / 38
    assert row["new_without_regained"] == row["new_without_others"] == 13
    regained, others = seen[1:]
    assert (regained["fc.weight"][:3, :3] == 0).all()
    assert (regained["fc.weight"][3:] == 1).all()
    assert (others["fc.weight"][3:, :3] == 0).all()
    assert (others["fc.weight"][:, 3:] == 1).all()
    assert (others["conv1.weight"][1:4] == 1).all()


@pytest.mark.slow
def test_the_short_study_runs_once_and_writes_everything(tmp_path, capsys, monkeypatch):
    given = ["--short", "--ways", "as the preset,no regeneration", "--folder", str(tmp_path)]
    assert main(given) == 0
    runs = pd.read_csv(tmp_path / "results" / "runs.csv")
    assert list(runs["way"]) == ["as the preset", "no regeneration"]
    assert (runs["uploads"] >= 0).all()
    clients = pd.read_csv(tmp_path / "results" / "clients.csv")
    assert set(clients["way"]) == {"as the preset"}
    assert (tmp_path / "results" / "course.png").stat().st_size > 10_000
    assert "## capacity" in (tmp_path / "results" / "tables.md").read_text()
    monkeypatch.setattr(app_runs, "train", None)  # nothing is left to train
    capsys.readouterr()
    assert main(given) == 0
    assert "0 of 2 runs to do" in capsys.readouterr().out
    assert main([*given, "codec=raw"]) == 2
    assert "other settings" in capsys.readouterr().err
