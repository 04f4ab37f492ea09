"""Round by round: quality and sparsity against what has travelled; old and new where data drift."""

from collections.abc import Callable, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from flwr_gan.plots.style import BLUE, GREEN, PINK, RED, tidy

ACCURACIES = (
    ("conditional_accuracy", "generated samples recognised as their label", BLUE, "o"),
    ("synthetic_accuracy", "real test data, trained on generated samples", RED, "s"),
)


def rounds_figure(rounds: pd.DataFrame) -> Figure:
    """Draw accuracy, Frechet distance and sparsity against cumulative bytes.

    ``rounds`` has the columns of ``rounds.csv``; measures that are missing are left out, with their
    panel where it would be empty.
    """
    kilobytes = (rounds["up_bytes"] + rounds["down_bytes"]).cumsum() / 1000
    accuracies = [accuracy for accuracy in ACCURACIES if accuracy[0] in rounds]
    draws: list[tuple[int, Callable[[Axes], None]]] = []
    if accuracies:
        draws.append((3, lambda axes: _accuracies(axes, kilobytes, rounds, accuracies)))
    if "frechet_distance" in rounds:
        draws.append((2, lambda axes: _distance(axes, kilobytes, rounds["frechet_distance"])))
    draws.append((1, lambda axes: _sparsity(axes, kilobytes, rounds["sparsity"])))
    heights = [height for height, _ in draws]
    figure = Figure(figsize=(7.2, 6.4 if len(draws) > 1 else 2.4), layout="constrained")
    grid = figure.subplots(len(draws), 1, sharex=True, squeeze=False, height_ratios=heights)
    for axes, (_, draw) in zip(grid[:, 0], draws, strict=True):
        draw(axes)
        tidy(axes)
    return figure


def _accuracies(
    axes: Axes,
    x: "pd.Series[float]",
    rounds: pd.DataFrame,
    accuracies: Sequence[tuple[str, str, str, str]],
) -> None:
    for column, label, colour, marker in accuracies:
        _line(axes, x, rounds[column], label, colour, marker)
    axes.set_ylabel("accuracy")
    axes.set_ylim(0, 1.02)
    axes.legend(loc="lower right", frameon=False)


def _distance(axes: Axes, x: "pd.Series[float]", distance: "pd.Series[float]") -> None:
    _line(axes, x, distance, "", BLUE, "o")
    axes.set_ylabel("Fréchet distance\n(classifier features)")
    axes.set_ylim(bottom=0)


def _sparsity(axes: Axes, x: "pd.Series[float]", sparsity: "pd.Series[float]") -> None:
    _line(axes, x, 100 * sparsity, "", GREEN, "o")
    axes.set_ylabel("sparsity (%)")
    axes.set_ylim(-5, 105)
    axes.set_xlabel("bytes so far, both directions (kB)")


def _line(
    axes: Axes, x: "pd.Series[float]", y: "pd.Series[float]", label: str, colour: str, marker: str
) -> None:
    axes.plot(x, y, color=colour, marker=marker, markersize=3.5, linewidth=1.4, label=label)


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
