"""Quality and sparsity against what has travelled, round by round."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"  # Okabe and Ito: distinct to the colour-blind
ACCURACIES = (
    ("conditional_accuracy", "generated samples recognised as their label", BLUE, "o"),
    ("synthetic_accuracy", "real test data, trained on generated samples", ORANGE, "s"),
)


def rounds_figure(rounds: pd.DataFrame) -> Figure:
    """Draw accuracy, Frechet distance and sparsity against cumulative bytes.

    Parameters
    ----------
    rounds : pandas.DataFrame
        Columns of ``rounds.csv``; measures that are missing are left out.
    """
    figure = Figure(figsize=(7.2, 6.4), layout="constrained")
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 1))
    kilobytes = (rounds["up_bytes"] + rounds["down_bytes"]).cumsum() / 1000
    for column, label, colour, marker in ACCURACIES:
        if column in rounds:
            _line(top, kilobytes, rounds[column], label, colour, marker)
    top.set_ylabel("accuracy")
    top.set_ylim(0, 1.02)
    if "frechet_distance" in rounds:
        _line(middle, kilobytes, rounds["frechet_distance"], "", BLUE, "o")
    middle.set_ylabel("Fréchet distance\n(classifier features)")
    middle.set_ylim(bottom=0)
    _line(bottom, kilobytes, 100 * rounds["sparsity"], "", GREEN, "o")
    bottom.set_ylabel("sparsity (%)")
    bottom.set_ylim(-5, 105)
    bottom.set_xlabel("bytes carried so far, both directions (kB)")
    for axes in (top, middle, bottom):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    if top.get_legend_handles_labels()[0]:
        top.legend(loc="lower right", frameon=False)
    return figure


def _line(
    axes: Axes, x: "pd.Series[float]", y: "pd.Series[float]", label: str, colour: str, marker: str
) -> None:
    axes.plot(x, y, color=colour, marker=marker, markersize=3.5, linewidth=1.4, label=label)
