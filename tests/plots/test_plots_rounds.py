"""The picture of a run: a panel for each kind of measure that there is."""

import pandas as pd
import pytest

from flwr_gan.plots import rounds_figure

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
