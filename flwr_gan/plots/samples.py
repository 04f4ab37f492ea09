"""A grid of samples, one row per class; one colour per pen stroke (paper 000, Fig. 2)."""

# K classes, n samples per class, T vectors or rows, C components or columns, P points

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from flwr_gan.data.dataset import Kind
from flwr_gan.data.drawing import FloatArray, vectors_to_strokes

_CELL_INCHES = 0.5
# More classes than this stand in several columns of rows, so that the picture fits a screen.
_MAX_ROWS = 21
# Widths in cells.
_CHARACTER_WIDTH = 0.21
_MARGIN = 0.35
_DRAWING_SIDE = 0.78
_IMAGE_GAP = 0.09  # of an image's width


def sample_grid(x_KnTC: npt.NDArray[np.floating], class_names: Sequence[str], kind: Kind) -> Figure:
    """Draw n samples of each class: strokes coloured by their order, images in grey or in colour.

    Samples lie in [-1, 1]: vectors (dx, dy, pen), or T rows of C pixels, -1 white and 1 black.
    Images with a last axis of three channels are drawn as red, green and blue, -1 for none of a
    colour; of another number of channels the mean is drawn, -1 black. Raises ValueError when
    shapes do not fit.
    """
    if x_KnTC.ndim not in (4, 5) or len(x_KnTC) != len(class_names) or not x_KnTC.size:
        raise ValueError(
            f"samples of shape {x_KnTC.shape} are not (K, n, T, C) or (K, n, T, C, channels) with "
            f"K = {len(class_names)}"
        )
    if kind == "strokes" and x_KnTC.shape[3:] != (3,):
        raise ValueError(f"strokes have 3 components a vector, not {x_KnTC.shape[3:]}")
    num_classes, per_class = x_KnTC.shape[:2]
    num_blocks = -(-num_classes // _MAX_ROWS)
    rows = -(-num_classes // num_blocks)
    name_width = 0.4 + _CHARACTER_WIDTH * max(map(len, class_names))
    block_width = name_width + per_class + (0.4 if num_blocks > 1 else 0)
    header = 0.7 if kind == "strokes" else 0.0

    width = num_blocks * block_width + 2 * _MARGIN
    height = rows + header + 2 * _MARGIN
    figure = Figure(figsize=(width * _CELL_INCHES, height * _CELL_INCHES))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(-_MARGIN, width - _MARGIN)
    axes.set_ylim(rows + _MARGIN, -header - _MARGIN)
    axes.set_axis_off()

    # Cell (k, i) has its middle at centre_Kn2[k, i]; y runs downwards.
    block, row = np.divmod(np.arange(num_classes), rows)
    centre_Kn2 = np.empty((num_classes, per_class, 2))
    centre_Kn2[..., 0] = (block * block_width + name_width)[:, None] + np.arange(per_class) + 0.5
    centre_Kn2[..., 1] = row[:, None] + 0.5
    for k, name in enumerate(class_names):
        x = centre_Kn2[k, 0, 0] - 0.7
        axes.text(x, row[k] + 0.5, name, ha="right", va="center", fontsize=12, parse_math=False)
        if row[k]:
            left, right = centre_Kn2[k, 0, 0] - 0.5, centre_Kn2[k, -1, 0] + 0.5
            axes.plot((left, right), (row[k], row[k]), color="#e3e3e3", linewidth=0.6, zorder=0)
    if kind == "strokes":
        _add_drawings(axes, x_KnTC, centre_Kn2)
    else:
        _add_images(axes, x_KnTC, centre_Kn2)
    return figure


def _add_drawings(
    axes: Axes, x_KnTC: npt.NDArray[np.floating], centre_Kn2: npt.NDArray[np.float64]
) -> None:
    drawings = [vectors_to_strokes(x_TC) for x_TC in x_KnTC.reshape(-1, *x_KnTC.shape[2:])]
    # One scale for all keeps their sizes comparable; a few huge ones must not shrink the others.
    sides = [drawing_side(strokes) for strokes in drawings]
    unit = max(float(np.quantile(sides, 0.9)), 1e-6)
    fitted = []
    for strokes, (x, y) in zip(drawings, centre_Kn2.reshape(-1, 2), strict=True):
        moved = fit_drawing(strokes, centre=(x, -y), side=_DRAWING_SIDE, unit=unit)
        # The axes' y runs downwards, the drawings' upwards.
        fitted.append([stroke * (1, -1) for stroke in moved])
    axes.add_collection(stroke_lines(fitted, linewidth=1.7), autolim=False)

    most = min(max(map(len, drawings)), len(STROKE_NAMES))
    handles = [
        Line2D([], [], color=stroke_colour(order), linewidth=3, label=f"{name} stroke")
        for order, name in enumerate(STROKE_NAMES[:most])
    ]
    if handles:
        axes.legend(
            handles=handles,
            loc="upper left",
            ncols=len(handles),
            frameon=False,
            handlelength=1.2,
            columnspacing=1.4,
            fontsize=9,
        )


def _add_images(
    axes: Axes, x_KnTC: npt.NDArray[np.floating], centre_Kn2: npt.NDArray[np.float64]
) -> None:
    """Draw the images of a class as one, which is much faster than many."""
    num_classes, per_class, T, C, *channels = x_KnTC.shape
    colour = channels == [3]
    if channels and not colour:
        x_KnTC, channels = -x_KnTC.mean(axis=-1), []  # 1 is light in colour, black in grey
    gap = max(1, round(C * _IMAGE_GAP))
    half = C / (C + gap) / 2
    # What is NaN is not drawn.
    row_KTnC = np.full((num_classes, T, per_class, C + gap, *channels), np.nan)
    row_KTnC[:, :, :, :C] = x_KnTC.swapaxes(1, 2)
    for row_TnC, centre_n2 in zip(row_KTnC, centre_Kn2, strict=True):
        (left, y), (right, _) = centre_n2[0], centre_n2[-1]
        shown = row_TnC.reshape(T, -1, *channels)[:, :-gap]
        axes.imshow(
            _rgba(shown) if colour else shown,
            cmap="gray_r",
            vmin=-1,
            vmax=1,
            interpolation="nearest",
            extent=(left - half, right + half, y + half, y - half),
            aspect="auto",
        )


def _rgba(shown: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return pixels (rows, columns, 3) in [-1, 1] as matplotlib takes them; NaN is transparent."""
    seen = np.isfinite(shown).all(axis=-1, keepdims=True)
    colours = np.clip((np.where(seen, shown, 0.0) + 1) / 2, 0, 1)
    return np.concatenate([colours, seen], axis=-1)


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
