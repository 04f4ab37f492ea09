"""What travels, how sparse layers are, and where the time goes, for groups of runs."""

import numpy as np
import pandas as pd

from flwr_gan.plots import duration_figure, layers_figure, traffic_figure


def rounds(scale: float = 1.0) -> pd.DataFrame:
    number = np.arange(1, 5)
    columns = {"up_bytes": 1000 * number, "down_bytes": 500 * number, "wall_s": 2.0 * number}
    return pd.DataFrame({"round": number} | {k: scale * v for k, v in columns.items()})


def labels(figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_bytes_of_each_round_are_means_in_kilobytes_with_their_range():
    figure = traffic_figure({"one": [rounds()], "two": [rounds(), rounds(3)]})
    up, down = figure.axes
    assert list(up.lines[0].get_ydata()) == [1, 2, 3, 4]
    assert list(up.lines[1].get_ydata()) == [2, 4, 6, 8]
    assert list(down.lines[0].get_ydata()) == [0.5, 1, 1.5, 2]
    assert len(up.collections) == 1  # one run has no range
    assert labels(figure) == ["one", "two"]


def test_runs_of_different_length_are_drawn_to_their_ends():
    figure = traffic_figure({"both": [rounds(), rounds().iloc[:2]]})
    assert list(figure.axes[0].lines[0].get_ydata()) == [1, 2, 3, 4]
    assert labels(figure) == []


def test_layers_stand_in_order_with_means_in_per_cent():
    figure = layers_figure(
        {"a": [{"first": 0.5, "last": 0.1}], "b": [{"first": 0.2}, {"first": 0.4, "other": 1.0}]}
    )
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["first", "last", "other"]
    marks = [line.get_xdata()[0] for line in axes.lines]
    np.testing.assert_allclose(marks, [50, 10, 30, 100])
    assert axes.yaxis_inverted()
    assert labels(figure) == ["a", "b"]


def test_seconds_of_rounds_and_of_coding_are_drawn():
    figure = duration_figure({"a": [rounds()]}, {"zlib": (1.0, 0.5), "raw": (0.0, 0.0)})
    top, bottom = figure.axes
    assert list(top.lines[0].get_ydata()) == [2, 4, 6, 8]
    assert [bar.get_width() for bar in bottom.patches] == [1.0, 0.0, 0.5, 0.0]
    assert [text.get_text() for text in bottom.get_yticklabels()] == ["zlib", "raw"]
