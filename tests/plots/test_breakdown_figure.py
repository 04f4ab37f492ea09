"""Bars for classes and clients, distances below: what there is, and nothing else."""

import numpy as np
import pytest

from flwr_gan.plots import breakdown_figure, save_figure

CLASSES = {
    "sky": {"frechet_distance": 4.0, "conditional_accuracy": 0.5, "real_frechet_distance": 1.0},
    "sea": {"frechet_distance": 2.0, "conditional_accuracy": 0.9, "real_frechet_distance": 0.5},
}
CLIENTS = {"0": {"frechet_distance": 3.0, "own_frechet_distance": 6.0}}
DISTANCES = (np.array([0.1, 0.2]), np.array([0.3]))


def test_it_shows_classes_and_clients_and_distances(tmp_path):
    figure = breakdown_figure(CLASSES, CLIENTS, DISTANCES)
    axes = {axes.get_label(): axes for axes in figure.axes}
    heights = [bar.get_height() for bar in axes["class frechet_distance"].patches]
    assert heights == [4.0, 2.0]
    (real,) = axes["class frechet_distance"].lines
    assert list(real.get_ydata()) == [1.0, 0.5]
    (own,) = axes["client frechet_distance"].lines
    assert list(own.get_ydata()) == [6.0]
    assert [t.get_text() for t in axes["class frechet_distance"].get_xticklabels()] == [
        "sky",
        "sea",
    ]
    assert [len(line.get_xdata()) for line in axes["distances"].lines] == [3, 2]
    save_figure(figure, tmp_path / "breakdown.png")


@pytest.mark.parametrize(
    ("parts", "panels"),
    [
        ((CLASSES, {}, None), {"class conditional_accuracy", "class frechet_distance"}),
        (({}, CLIENTS, DISTANCES), {"client frechet_distance", "distances"}),
        (({}, {}, DISTANCES), {"distances"}),
    ],
)
def test_what_is_not_known_has_no_panel(parts, panels):
    assert {axes.get_label() for axes in breakdown_figure(*parts).axes} == panels


def test_nothing_at_all_is_an_error():
    with pytest.raises(ValueError, match="nothing to draw"):
        breakdown_figure({}, {}, None)
