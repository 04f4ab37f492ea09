"""Quality on old and new data and what has travelled, round by round, where the data drift."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from flwr_gan.plots.style import BLUE, GREEN, PINK, RED, tidy

# Dashes and markers tell the lines apart in grey.
STYLES = {
    "old": {"color": BLUE, "linestyle": "-", "marker": "o"},
    "new": {"color": RED, "linestyle": "--", "marker": "s"},
}
LABELS = {"old": "what came in earlier stages", "new": "what came in the present stage"}
BYTES = {
    "up_bytes": ("up", GREEN, "-"),
    "down_bytes": ("down", PINK, ":"),
}


def continual_figure(rounds: pd.DataFrame) -> Figure:
    """Draw accuracy and Frechet distance on old and new, and cumulative bytes.

    ``rounds`` has the columns of ``rounds.csv``, with those of the stages.
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
        kilobytes = rounds[column].cumsum() / 1000
        bottom.plot(
            rounds["round"], kilobytes, color=colour, linestyle=line, linewidth=1.6, label=label
        )
    bottom.set_ylabel("bytes so far (kB)")
    bottom.set_ylim(bottom=0)
    bottom.set_xlabel("round")
    bottom.xaxis.set_major_locator(MaxNLocator(integer=True))
    bottom.legend(loc="upper left", frameon=False, fontsize=9)
    changes = rounds.loc[rounds["stage"].diff() > 0, "round"]
    for axes in (top, middle, bottom):
        for first in changes:
            axes.axvline(first - 0.5, color="#666666", linewidth=0.8, linestyle=(0, (2, 3)))
        tidy(axes)
    return figure
