"""Quality and sparsity against what has travelled, round by round."""

from collections.abc import Callable, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flwr_gan.plots.style import BLUE, GREEN, RED, tidy

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
