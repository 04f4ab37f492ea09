"""What the figures of all studies have in common."""

from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

# Okabe and Ito: distinct to the colour-blind.
BLACK, BLUE, RED, GREEN = "#000000", "#0072b2", "#d55e00", "#009e73"
PINK, SKY, ORANGE, GREY = "#cc79a7", "#56b4e9", "#e69f00", "#777777"


def tidy(axes: Axes, *, which: str = "major") -> None:
    """Draw a light grid and no upper and right border."""
    axes.grid(alpha=0.3, which=which)  # type: ignore[arg-type]
    axes.spines[["top", "right"]].set_visible(False)


def row_of_panels(
    count: int, *, width: float, height: float, **shared: bool
) -> tuple[Figure, list[Axes]]:
    """Return a figure of panels side by side, each so many inches wide."""
    figure = Figure(figsize=(0.5 + width * count, height), layout="constrained")
    panels: Iterable[Axes] = figure.subplots(1, count, squeeze=False, **shared)[0]  # type: ignore[call-overload]
    return figure, list(panels)


def legend_below(figure: Figure | SubFigure, axes: Axes, *, columns: int) -> None:
    """Draw the legend of one panel below all of them."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)
