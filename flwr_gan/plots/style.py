"""What pictures have in common: colours that the colour-blind tell apart, quiet axes, legends."""

from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito, and an olive.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c8c00")
BLUE, RED, GREEN, PINK, ORANGE, SKY, BLACK, _ = COLOURS
GREY = "#555555"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")


def tidy(axes: Axes, *, which: Literal["major", "both"] = "major") -> None:
    """Draw a faint grid and no frame above and to the right."""
    axes.grid(alpha=0.3, which=which)
    axes.spines[["top", "right"]].set_visible(False)


def legend_above(figure: Figure, axes: Axes) -> None:
    """Put the legend of some axes above all of them, in two columns."""
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="outside upper left",
        ncols=2,
        frameon=False,
        fontsize=8,
    )
