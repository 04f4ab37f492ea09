"""Quality on old and new data and what has travelled, round by round, where the data drift."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# Okabe and Ito: distinct to the colour-blind; dashes and markers tell the lines apart in grey.
STYLES = {
    "old": {"color": "#0072b2", "linestyle": "-", "marker": "o"},
    "new": {"color": "#d55e00", "linestyle": "--", "marker": "s"},
}
LABELS = {"old": "what came in earlier stages", "new": "what came in the present stage"}
BYTES = {
    "up_bytes": ("up", "#009e73", "-"),
    "down_bytes": ("down", "#cc79a7", ":"),
}


def continual_figure(rounds: pd.DataFrame) -> Figure:
    """Draw accuracy and Frechet distance on old and new, and cumulative bytes.

    Parameters
    ----------
    rounds : pandas.DataFrame
        Columns of ``rounds.csv``, with those of the stages.
    """
    figure = Figure(figsize=(7.2, 6.8), layout="constrained")
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 2))
    for axes, measure in ((top, "accuracy"), (middle, "frechet")):
        for age, style in STYLES.items():
            column = f"{age}_{measure}"
            if column in rounds:
                axes.plot(
                    rounds["round"],
                    rounds[column],
                    markersize=3.5,
                    linewidth=1.4,
                    label=LABELS[age],
                    **style,
                )
    top.set_ylabel("generated samples\nrecognised as their label")
    top.set_ylim(0, 1.02)
    top.legend(loc="lower left", frameon=False, fontsize=9)
    middle.set_ylabel("Fréchet distance\n(classifier features)")
    middle.set_ylim(bottom=0)
    for column, (label, colour, line) in BYTES.items():
        carried = rounds[column].cumsum() / 1000
        bottom.plot(
            rounds["round"], carried, color=colour, linestyle=line, linewidth=1.6, label=label
        )
    bottom.set_ylabel("carried so far (kB)")
    bottom.set_ylim(bottom=0)
    bottom.set_xlabel("round")
    bottom.xaxis.set_major_locator(MaxNLocator(integer=True))
    bottom.legend(loc="upper left", frameon=False, fontsize=9)
    changes = rounds.loc[rounds["stage"].diff() > 0, "round"]
    for axes in (top, middle, bottom):
        _mark(axes, changes)
    return figure


def _mark(axes: Axes, changes: "pd.Series[int]") -> None:
    """Draw a line where each stage begins."""
    for first in changes:
        axes.axvline(first - 0.5, color="#666666", linewidth=0.8, linestyle=(0, (2, 3)))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
