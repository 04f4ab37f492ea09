"""The study in virtual time: its grid, one tiny run of two ways, what its tables compare."""

import pandas as pd
import pytest

from experiments.links.__main__ import main, tables
from experiments.links.cases import WAYS, Case
from experiments.study import app_runs
from experiments.study.cases import Record
from flwr_gan.app.config import load_config

RESULT = {
    "rounds": [{"round": 1, "virtual_s": 7.0, "synthetic_accuracy": 0.91}],
    "clients": [{"exchanges": 1}, {"exchanges": 3}],
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_is_a_valid_config_on_the_same_population(way):
    config = load_config(Case(way, 1).arguments)
    assert (config.links, config.devices, config.seed) == ("mixed", "mixed", 1)
    assert (config.clock.deadline_s is None) == ("deadline" not in way)


def test_times_are_compared_with_the_main_job_of_the_same_seed(tmp_path):
    times = {("main job", 0): 80.0, ("FedBuff", 0): 20.0, ("main job", 1): 50.0,
             ("FedBuff", 1): None}  # fmt: skip
    records = [
        Record(Case(*place), tmp_path, RESULT | {"virtual_s_to_target": t}, "", 1.0, "2026-01-01")
        for place, t in times.items()
    ]
    runs = tables(records)["runs.csv"].set_index(["way", "seed"])
    assert runs.time_ratio["FedBuff", 0] == 0.25
    assert pd.isna(runs.time_ratio["FedBuff", 1])
    assert (runs.time_ratio["main job"] == 1).all()
    assert set(runs.early_s) == {7.0}
    assert set(runs.most) == {0.75}


@pytest.mark.slow
def test_the_short_study_runs_once_and_writes_everything(tmp_path, capsys, monkeypatch):
    given = ["--short", "--ways", "main job,FedBuff", "--folder", str(tmp_path)]
    assert main(given) == 0
    runs = pd.read_csv(tmp_path / "results" / "runs.csv")
    assert list(runs["way"]) == ["main job", "FedBuff"]
    assert (runs["virtual_s"] > 0).all()
    for picture in ("time.png", "clients.png"):
        assert (tmp_path / "results" / picture).stat().st_size > 10_000
    monkeypatch.setattr(app_runs, "train", None)  # nothing is left to train
    capsys.readouterr()
    assert main(given) == 0
    assert "0 of 2 runs to do" in capsys.readouterr().out
