"""Quality against virtual time, and what each client's time went on."""

import pandas as pd
import pytest

from flwr_gan.engine.clock import Clock, Traffic
from flwr_gan.engine.links import Client
from flwr_gan.plots import client_times_figure, save_figure, virtual_time_figure

ROUNDS = pd.DataFrame(
    {"virtual_s": [3.0, 7.0], "synthetic_accuracy": [0.4, 0.9], "frechet_distance": [9.0, 2.0]}
)


def test_each_measure_has_a_panel_and_each_run_a_line(tmp_path):
    runs = {"one": ROUNDS, "other": ROUNDS.drop(columns="frechet_distance")}
    figure = virtual_time_figure(runs, target=("synthetic_accuracy", 0.93))
    accuracy, distance = figure.axes
    assert [line.get_label() for line in accuracy.lines[:2]] == ["one", "other"]
    assert list(accuracy.lines[2].get_ydata()) == [0.93, 0.93]
    assert list(distance.lines[0].get_xdata()) == [3.0, 7.0]
    save_figure(figure, tmp_path / "time.png")


def test_without_measures_there_is_nothing_to_draw():
    with pytest.raises(ValueError, match="no run"):
        virtual_time_figure({"one": ROUNDS[["virtual_s"]]})


def test_the_bars_of_a_client_are_as_long_as_the_run(tmp_path):
    clock = Clock([Client(up_mbit_s=1), Client()])
    clock.close_round(1, "train", [Traffic(0, 0, 10**6, 2), Traffic(1, 0, 0, 1)])
    figure = client_times_figure(pd.DataFrame(clock.client_rows()))
    ends = [bar.get_x() + bar.get_width() for bar in figure.axes[0].patches]
    assert ends[-2:] == pytest.approx([clock.now, clock.now])
    save_figure(figure, tmp_path / "clients.png")
