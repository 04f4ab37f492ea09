"""Pen drawings with one colour a stroke, as in Fig. 2 of paper 000."""

# T vectors, C = 3 components (dx, dy, pen), P points, n samples

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from flwr_gan.data.drawing import FloatArray, vectors_to_strokes

# Blue, vermilion and bluish green of Okabe and Ito: told apart by colour-blind readers too.
STROKE_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000")
STROKE_NAMES = ("first", "second", "third", "fourth", "further")
_PEN_UP_COLOUR = "#999999"


def stroke_colour(order: int) -> str:
    """Return the colour of the stroke drawn as number `order`, from 0; from the fifth on, black."""
    return STROKE_COLOURS[min(order, len(STROKE_COLOURS) - 1)]


def drawing_side(strokes: Sequence[FloatArray]) -> float:
    """Return the larger side of the strokes' bounding box, 0 where there is none."""
    return float(np.ptp(np.concatenate(strokes), axis=0).max()) if strokes else 0.0


def fit_drawing(
    strokes: Sequence[FloatArray], *, centre: tuple[float, float], side: float, unit: float = 1.0
) -> list[FloatArray]:
    """Move the strokes' bounding box to `centre`, with length `unit` drawn as `side`.

    Drawings that are larger than `unit` are shrunk to `side`.
    """
    if not strokes:
        return []
    points = np.concatenate(strokes)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    scale = side / max(drawing_side(strokes), unit)
    return [(stroke - middle) * scale + centre for stroke in strokes]


def stroke_lines(
    drawings: Sequence[Sequence[FloatArray]], *, linewidth: float = 1.5
) -> LineCollection:
    """Return all strokes of several drawings as one artist, coloured by their order."""
    lines = [stroke for drawing in drawings for stroke in drawing]
    colours = [stroke_colour(order) for drawing in drawings for order, _ in enumerate(drawing)]
    return LineCollection(
        lines, colors=colours, linewidths=linewidth, capstyle="round", joinstyle="round"
    )


def stroke_plot(
    x_nTC: npt.NDArray[np.floating], *, captions: Sequence[str] = (), columns: int = 6
) -> Figure:
    """Draw single samples large: vectors' ends as dots, the start ringed, lifted moves dotted.

    Parameters
    ----------
    x_nTC : float array, shape (n, T, 3) or (T, 3)
        Samples of vectors (dx, dy, pen).
    captions : sequence of str
        One a sample, or none.
    columns : int
        Samples in a row.
    """
    samples = x_nTC[None] if x_nTC.ndim == 2 else x_nTC
    columns = max(1, min(columns, len(samples)))
    rows = -(-len(samples) // columns)
    figure = Figure(figsize=(1.9 * columns, 2.1 * rows), layout="constrained")
    for place, x_TC in enumerate(samples):
        axes = figure.add_subplot(rows, columns, place + 1)
        path = np.concatenate([np.zeros((1, 2)), np.cumsum(x_TC[:, :2], axis=0, dtype=np.float64)])
        axes.plot(*path.T, ":", color=_PEN_UP_COLOUR, linewidth=1)
        strokes = vectors_to_strokes(x_TC)
        axes.add_collection(stroke_lines([strokes], linewidth=3))
        for order, stroke in enumerate(strokes):
            axes.plot(*stroke.T, ".", color=stroke_colour(order), markersize=7)
        axes.plot(*path[0], "o", markersize=9, fillstyle="none", color="black", clip_on=False)
        axes.set_aspect("equal", adjustable="datalim")
        axes.margins(0.15)
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_color("#cccccc")
        if captions:
            axes.set_title(captions[place], fontsize=11)
    return figure
