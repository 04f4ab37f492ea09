"""The table and the figure are made again from result files alone."""

import json

import pandas as pd
import pytest

from experiments import report
from experiments.results_table import varying_columns


def test_a_single_run_with_its_other_codecs_makes_a_table(simulate, capsys):
    folder = simulate("evaluation=server also_codecs=[zlib,lzma]")
    assert report.main([str(folder)]) == 0
    table = pd.read_csv(folder / "results.csv")
    assert set(table.codec) == {"sparse", "zlib", "lzma"}
    assert set(table.trained_by) == {str(folder)}
    assert (folder / "quality_bytes.png").stat().st_size > 10_000
    assert "sparse" in capsys.readouterr().out


def test_a_folder_of_runs_is_reported_and_an_unfinished_one_is_told_apart(simulate, tmp_path):
    for seed in (1, 2):
        simulate(f"seed={seed} evaluation=none", folder=f"runs/{seed}")
    (tmp_path / "runs" / "2" / "summary.json").unlink()
    table = report.report(tmp_path / "runs")
    assert list(table.status) == ["finished", "unfinished"]
    assert not (tmp_path / "runs" / "quality_bytes.png").exists()
    again = pd.read_csv(tmp_path / "runs" / "results.csv")
    summary = json.loads((tmp_path / "runs" / "1" / "summary.json").read_text())
    assert again.up_bytes.iloc[0] == summary["totals"]["up_bytes"]
    assert again.wall_s.iloc[0] == summary["wall_s"]


def test_a_folder_without_runs_ends_with_one_line(tmp_path, capsys):
    assert report.main([str(tmp_path)]) == 1
    assert "holds no run" in capsys.readouterr().err
    assert report.main([str(tmp_path / "none")]) == 1
    assert "no such folder" in capsys.readouterr().err


def test_a_damaged_summary_is_named(simulate, tmp_path, capsys):
    folder = simulate("evaluation=none")
    (folder / "summary.json").write_text("{")
    assert report.main([str(folder)]) == 1
    assert "summary.json" in capsys.readouterr().err


@pytest.mark.parametrize("failed", [False, True])
def test_columns_that_another_one_implies_are_left_out(failed):
    table = pd.DataFrame(
        {
            "federation.num_clients": [5, 5, 20, 20],
            "codec": ["zlib", "lzma", "zlib", "lzma"],
            "seed": [0, 0, 0, 0],
            "clients": [5, 5, 20, None if failed else 20],
            "status": ["finished"] * 4,
        }
    )
    assert varying_columns(table) == ["federation.num_clients", "codec"]
