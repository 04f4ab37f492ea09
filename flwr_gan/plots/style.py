"""Common style of pictures: colours for colour-blind readers, plain axes, file output."""

from pathlib import Path
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flwr_gan.core.atomic import replacing
from flwr_gan.errors import OutputError

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


def save_figure(figure: Figure, path: str | Path, *, dpi: int = 120) -> None:
    """Write a figure in the format that the file's ending names, such as ``.png`` or ``.svg``.

    A file that is there is replaced once the new one is complete. Raises OutputError when the
    format is unknown or the file cannot be written.
    """
    path = Path(path)
    ending = path.suffix.removeprefix(".").lower()
    known = figure.canvas.get_supported_filetypes()
    if ending not in known:
        raise OutputError(f"cannot write {path}: its ending must be one of {', '.join(known)}")
    with replacing(path) as temporary:
        figure.savefig(temporary, format=ending, dpi=dpi)
