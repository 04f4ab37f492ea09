"""Common style of the figures of all studies."""

from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from flwr_gan.plots.style import BLACK, BLUE, GREEN, ORANGE, PINK, RED, SKY, tidy

__all__ = [
    "BLACK", "BLUE", "GREEN", "GREY", "ORANGE", "PINK", "RED", "SKY",
    "legend_below", "row_of_panels", "tidy",
]  # fmt: skip

GREY = "#777777"


def row_of_panels(
    count: int, *, width: float, height: float, **shared: bool
) -> tuple[Figure, list[Axes]]:
    """Return a figure and its panels, side by side; the size of a panel is in inches."""
    figure = Figure(figsize=(0.5 + width * count, height), layout="constrained")
    panels: Iterable[Axes] = figure.subplots(1, count, squeeze=False, **shared)[0]  # type: ignore[call-overload]
    return figure, list(panels)


def legend_below(figure: Figure | SubFigure, axes: Axes, *, columns: int) -> None:
    """Draw the legend of one panel below all of them."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)
