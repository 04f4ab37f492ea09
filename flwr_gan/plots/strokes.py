"""Pen drawings with one colour a stroke, as in Fig. 2 of paper 000."""

# T vectors, C = 3 components (dx, dy, pen), P points, n samples

from collections.abc import Sequence

import numpy as np
from matplotlib.collections import LineCollection

from flwr_gan.data.drawing import FloatArray

# Blue, vermilion and bluish green of Okabe and Ito: told apart by colour-blind readers too.
STROKE_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000")
STROKE_NAMES = ("first", "second", "third", "fourth", "further")


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
