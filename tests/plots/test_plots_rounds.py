"""The picture of a run: a panel for each kind of measure that there is."""

import numpy as np
import pandas as pd
import pytest

from flwr_gan.plots import continual_figure, rounds_figure, save_figure
from flwr_gan.plots.rounds import LABELS

BYTES = {"round": [1, 2], "up_bytes": [900, 500], "down_bytes": [100, 100], "sparsity": [0, 0.2]}
SCORES = {"conditional_accuracy": [0.5, 0.9], "frechet_distance": [4.0, 2.0]}


@pytest.mark.parametrize(
    ("measures", "panels"),
    [
        ((), ["sparsity (%)"]),
        (("frechet_distance",), ["Fréchet distance\n(classifier features)", "sparsity (%)"]),
        (
            ("conditional_accuracy", "frechet_distance"),
            ["accuracy", "Fréchet distance\n(classifier features)", "sparsity (%)"],
        ),
    ],
)
def test_what_is_not_measured_has_no_panel(measures, panels):
    figure = rounds_figure(pd.DataFrame(BYTES | {name: SCORES[name] for name in measures}))
    assert [axes.get_ylabel() for axes in figure.axes] == panels
    for axes in figure.axes:
        (line,) = axes.get_lines()
        assert line.get_xdata().tolist() == [1.0, 1.6]


def drifting_rounds():
    late = [np.nan, np.nan, 0.8, 0.9]
    return pd.DataFrame(
        {
            "round": [1, 2, 3, 4],
            "stage": [0, 0, 1, 1],
            "up_bytes": [1000, 2000, 500, 500],
            "down_bytes": [4000, 0, 0, 1000],
            "new_accuracy": [0.2, 0.5, 0.1, 0.6],
            "old_accuracy": late,
            "new_frechet": [50.0, 20.0, 60.0, 10.0],
            "old_frechet": [np.nan, np.nan, 22.0, 20.0],
        }
    )


def test_it_shows_old_and_new_and_bytes_so_far(tmp_path):
    figure = continual_figure(drifting_rounds())
    top, middle, bottom = figure.axes
    lines = {line.get_label(): line for line in top.lines}
    assert list(lines[LABELS["new"]].get_ydata()) == [0.2, 0.5, 0.1, 0.6]
    assert list(lines[LABELS["old"]].get_ydata())[2:] == [0.8, 0.9]
    assert lines[LABELS["old"]].get_linestyle() != lines[LABELS["new"]].get_linestyle()
    drawn = {line.get_label(): list(line.get_ydata()) for line in bottom.lines}
    assert drawn["up"] == [1, 3, 3.5, 4]
    assert drawn["down"] == [4, 4, 4, 5]
    marks = [line.get_xdata()[0] for line in middle.lines if line.get_label().startswith("_")]
    assert marks == [2.5]
    assert all(axes.get_ylabel() for axes in figure.axes)
    assert bottom.get_xlabel() == "round"
    save_figure(figure, tmp_path / "continual.png")


def test_one_stage_has_nothing_old():
    first = drifting_rounds()[:2].drop(columns=["old_accuracy", "old_frechet"])
    top, *_ = continual_figure(first).axes
    assert [line.get_label() for line in top.lines] == [LABELS["new"]]
