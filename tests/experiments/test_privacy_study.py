"""The privacy study: its grid, its attack's samples, and a short run that goes on."""

import json

import numpy as np
import pandas as pd
import pytest

from experiments.privacy.__main__ import STUDY, budget_table, main, summarise
from experiments.privacy.cases import PRESETS, Case, compared
from flwr_gan.app.config import load_config
from flwr_gan.app.federation import load_federation
from flwr_gan.app.overrides import split_overrides


def grid(preset, seeds=(0,)):
    options = STUDY.parser().parse_args(["--data", "digits"])
    options.preset, options.seeds, options.data = preset, seeds, tuple(PRESETS[preset])
    return STUDY.cases(options)


def test_the_grid_has_every_budget_of_both_data_sets_and_three_seeds():
    cases = grid("default", seeds=(0, 1, 2))
    assert len(cases) == 3 * (7 + 6)
    assert len({case.name for case in cases}) == len(cases)
    assert sum(case.work_s for case in cases) / 60 < 45


@pytest.mark.long
@pytest.mark.parametrize("preset", list(PRESETS))
def test_every_case_is_a_valid_config(preset):
    for case in grid(preset):
        config = load_config(split_overrides(case.overrides))
        assert (config.privacy is not None) == case.is_private
        if config.privacy is not None:
            assert config.privacy.target_epsilon == float(case.budget)
        assert config.gan.iterations == case.iterations


@pytest.mark.parametrize(
    "chosen",
    [["--data", "mnist"], ["--epsilons", "much"], ["--epsilons=-1"], ["--seeds", "1,1"]],
)
def test_mistakes_are_one_line(chosen, tmp_path, capsys):
    assert main([*chosen, "--folder", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_members_and_outsiders_are_apart_and_alike():
    (case, *_) = grid("short")
    federation = load_federation(f"{case.overrides} output_dir=/nowhere")
    for partition, own in enumerate(federation.split):
        members, outsiders = compared(federation, partition)
        counts = [np.bincount(part.y_N, minlength=10) for part in (members, outsiders)]
        assert np.array_equal(*counts)
        rows = {x.tobytes() for x in federation.dataset.train.x_NTC[own]}
        assert all(x.tobytes() in rows for x in members.x_NTC)
        # equal drawings exist in other clients' shares, so a few may be in both
        assert np.mean([x.tobytes() in rows for x in outsiders.x_NTC]) < 0.01


@pytest.mark.slow
def test_a_short_study_goes_on_and_is_not_repeated(tmp_path, monkeypatch, capsys):
    ran = []
    measure = Case.measure
    monkeypatch.setattr(Case, "measure", lambda c, f: (ran.append(c.budget), measure(c, f))[1])
    options = ["--short", "--folder", str(tmp_path)]
    assert main([*options, "--epsilons", "none"]) == 0
    assert main(options) == 0
    assert ran == ["none", "10"]
    runs = pd.read_csv(tmp_path / "results" / "runs.csv")
    private = runs[runs.budget == "10"].iloc[0]
    assert 9.9 < private.epsilon <= 10
    assert private.noise_multiplier > 0
    assert np.isinf(runs[runs.budget == "none"].epsilon.iloc[0])
    attacks = pd.read_csv(tmp_path / "results" / "attacks.csv")
    assert len(attacks) == 2 * 3
    assert (attacks.nearest_low <= attacks.nearest).all()
    assert json.loads((tmp_path / "results" / "run.json").read_text())["missing"] == []
    assert (tmp_path / "results" / "epsilon.png").stat().st_size > 1000

    case_file = next(tmp_path.glob("*none*/case.json"))
    case_file.write_text(case_file.read_text().replace("rate=0.5", "rate=0.4"))
    assert main(options) == 2
    assert "other settings" in capsys.readouterr().err


def test_the_table_has_means_and_half_widths():
    rows = [
        {"data": "digits", "budget": "10", "seed": s, "epsilon": 9.9, "noise_multiplier": 2.0}
        | dict.fromkeys(
            ("frechet_distance", "coverage", "conditional_accuracy", "synthetic_accuracy",
             "nearest", "monte_carlo", "payload_bytes", "sparsity", "cpu_s"), float(s))
        for s in (1, 3)
    ]  # fmt: skip
    table = budget_table(summarise(pd.DataFrame(rows)))
    assert "| digits | 10 | 9.90 | 2.00 | 2 |" in table
    assert "2.00 ± 12.71" in table  # Student's t with one degree of freedom
