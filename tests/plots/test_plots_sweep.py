"""Quality against bytes."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection

from flwr_gan.plots.sweep import has_quality, quality_figure

FACTORS = ["codec", "partition", "federation.num_clients", "lottery.rate"]


def results(num_seeds: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        dict(zip([*FACTORS, "seed"], values, strict=True))
        | {
            "up_bytes": rng.integers(1_000, 90_000),
            "down_bytes": rng.integers(1_000, 90_000),
            "conditional_accuracy": rng.random(),
            "frechet_distance": 10 * rng.random(),
        }
        for values in itertools.product(
            ["zlib", "sparse"], ["iid", "dirichlet"], [5, 20], [0.1, 0.2, 0.3], range(num_seeds)
        )
    ]
    return pd.DataFrame(rows)


def points(figure, panel: int = 0) -> int:
    drawn = figure.axes[panel].collections
    return sum(len(dots.get_offsets()) for dots in drawn if isinstance(dots, PathCollection))


def legend(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_each_run_is_a_point_in_each_panel_and_each_value_is_in_the_legend():
    figure = quality_figure(results(), FACTORS)
    assert len(figure.axes) == 2
    assert points(figure) == points(figure, 1) == 24
    assert {"zlib", "sparse", "iid", "dirichlet", "5", "20", "0.1", "0.3"} <= set(legend(figure))
    assert figure.axes[1].get_xlabel().endswith("(kB)")


def test_runs_that_differ_in_the_seed_become_one_point_with_a_range():
    figure = quality_figure(results(num_seeds=3), [*FACTORS, "seed"])
    assert points(figure) == 24
    assert "range over seeds" in legend(figure)


def test_bytes_are_on_a_log_axis_where_they_span_much():
    table = results()
    assert quality_figure(table, FACTORS).axes[0].get_xscale() == "log"
    table["up_bytes"] = table["down_bytes"] = 5_000
    assert quality_figure(table, FACTORS).axes[0].get_xscale() == "linear"


def test_many_values_get_colours_of_their_own(tmp_path):
    table = results().iloc[:12].assign(codec=[f"codec{i}" for i in range(12)])
    figure = quality_figure(table, ["codec"])
    figure.savefig(tmp_path / "figure.png")
    colours = {tuple(dots.get_facecolor()[0]) for dots in figure.axes[0].collections}
    assert len(colours) == 12


def test_without_factors_there_is_no_legend():
    assert quality_figure(results().iloc[:1], []).legends == []


def test_without_quality_there_is_no_figure():
    table = results().drop(columns=["conditional_accuracy", "frechet_distance"])
    assert not has_quality(table)
    assert not has_quality(pd.DataFrame({"status": ["failed"]}))
    with pytest.raises(ValueError, match="quality"):
        quality_figure(table, FACTORS)
