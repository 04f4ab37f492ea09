"""Pen strokes to vectors and back: one drawing is T vectors (dx, dy, pen).

The pen draws while ``pen`` is positive (+1 in real data) and is lifted otherwise (-1). A drawing
of S strokes takes S - 1 vectors for the lifted moves between strokes; the others are dealt to the
strokes by length. y grows upwards. The vector data set of paper 000, section 4, has this form.
"""

# T vectors, C = 3 components (dx, dy, pen), P points of a stroke, 2 coordinates (x, y)

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import numpy.typing as npt

from flwr_gan.core.settings import Count, Positive, Within, checked
from flwr_gan.data.dataset import Samples
from flwr_gan.errors import DataError

FloatArray = npt.NDArray[np.float64]

NumVectors = Annotated[int, Within(at_least=1, at_most=1000)]
PEN_DOWN = 1.0
PEN_UP = -1.0


def strokes_to_vectors(
    strokes: Sequence[npt.ArrayLike],
    *,
    num_vectors: int,
    extent: float | None = None,
    corner_deg: float | None = None,
) -> npt.NDArray[np.float32]:
    """Return the drawing as ``x_TC``, float32 in [-1, 1].

    Lossy: each stroke is resampled to points that are equally far from each other along it.
    ``strokes`` are arrays ``(P, 2)`` in drawing order. Where 2 S - 1 strokes and moves exceed
    ``num_vectors``, the shortest strokes are left out. ``extent`` is the length that becomes 1
    (longer moves are cut to it); by default the larger side of the drawing, which makes all
    drawings equally large. Points at which a stroke turns by more than ``corner_deg`` degrees are
    kept if there are enough vectors; this is for clean strokes, as noise has many corners. Raises
    DataError without a stroke or for a coordinate that is not finite.
    """
    checked("num_vectors", num_vectors, Count)
    checked("extent", extent, Positive | None)
    polylines = [_checked(stroke) for stroke in strokes]
    if not polylines:
        raise DataError("a drawing needs at least one stroke")
    polylines = _longest(polylines, at_most=(num_vectors + 1) // 2)
    if extent is None:
        points = np.concatenate(polylines)
        extent = float(np.ptp(points, axis=0).max())

    num_drawn = num_vectors - (len(polylines) - 1)
    resampled = _resample_all(polylines, num_drawn, corner_deg)
    x_TC = np.empty((num_vectors, 3))
    path = np.concatenate(resampled)
    # One pen-up vector connects a stroke to the next.
    x_TC[:, :2] = np.diff(path, axis=0)
    x_TC[:, 2] = PEN_DOWN
    ends = np.cumsum([len(points) for points in resampled[:-1]], dtype=int) - 1
    x_TC[ends, 2] = PEN_UP
    if extent > 0:  # a lone dot has no extent, and its moves are all 0
        x_TC[:, :2] /= extent
    return np.clip(x_TC, -1, 1).astype(np.float32)


def drawn_samples(
    drawings: Sequence[Sequence[npt.ArrayLike]],
    y_N: npt.NDArray[np.int64],
    writer_N: npt.NDArray[np.int64],
    *,
    num_vectors: int,
) -> Samples:
    """Return drawings as labelled samples, each scaled by its larger side."""
    x = [strokes_to_vectors(strokes, num_vectors=num_vectors) for strokes in drawings]
    return Samples(np.stack(x), y_N, writer_N)


def vectors_to_strokes(
    x_TC: npt.NDArray[np.floating], *, threshold: float = 0.0
) -> list[FloatArray]:
    """Return the strokes of a drawing by cumulative sums, the first vector starting at (0, 0).

    Each run of vectors whose pen is above ``threshold`` is one float64 polyline ``(P, 2)``.
    """
    points = np.zeros((len(x_TC) + 1, 2))
    np.cumsum(x_TC[:, :2], axis=0, dtype=np.float64, out=points[1:])
    down = np.concatenate([[False], x_TC[:, 2] > threshold, [False]])
    turns = np.flatnonzero(down[1:] != down[:-1])
    # Vector t leads from point t to point t + 1.
    return [points[start : stop + 1] for start, stop in zip(turns[::2], turns[1::2], strict=True)]


def rasterised(x_NTC: npt.NDArray[np.floating], *, side: int = 32) -> npt.NDArray[np.float32]:
    """Return drawings as images (N, side, side), 1 where a stroke passes and -1 elsewhere.

    The image reaches from -1 to 1 around the first point, y upwards; what is outside is left out.
    """
    moves_NT12 = x_NTC[:, :, None, :2].astype(np.float64)
    starts_NT12 = np.cumsum(moves_NT12, axis=1) - moves_NT12
    # a move is at most half as long as the image in x and in y, so no pixel is jumped over
    along = np.linspace(0, 1, side + 1)[:, None]
    places = np.floor((starts_NT12 + along * moves_NT12 + 1) / 2 * side).astype(np.int64)
    drawn = ((places >= 0) & (places < side)).all(axis=-1) & (x_NTC[:, :, None, 2] > 0)
    sample = np.nonzero(drawn)[0]
    column, row = places[drawn].T
    images = np.full((len(x_NTC), side, side), -1, np.float32)
    images[sample, side - 1 - row, column] = 1
    return images


def _checked(stroke: npt.ArrayLike) -> FloatArray:
    points = np.asarray(stroke, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise DataError(f"a stroke must have shape (points, 2), not {points.shape}")
    if not np.isfinite(points).all():
        raise DataError("a stroke has a coordinate that is not finite")
    return points


def _longest(polylines: list[FloatArray], *, at_most: int) -> list[FloatArray]:
    if len(polylines) <= at_most:
        return polylines
    lengths = [_arc_length(points)[-1] for points in polylines]
    kept = np.argsort(lengths, kind="stable")[-at_most:]
    return [polylines[i] for i in np.sort(kept)]


def _arc_length(points: FloatArray) -> FloatArray:
    """Return the distance along the polyline of each point from the first."""
    steps = np.diff(points, axis=0)
    return np.concatenate([[0.0], np.cumsum(np.hypot(steps[:, 0], steps[:, 1]))])


def _resample_all(
    polylines: list[FloatArray], num_drawn: int, corner_deg: float | None
) -> list[FloatArray]:
    """Return the strokes with `num_drawn` vectors in all, each at least one."""
    arcs = [_arc_length(points) for points in polylines]
    knots = [np.array([0.0, arc[-1]]) for arc in arcs]
    if corner_deg is not None:
        with_corners = [
            _corners(points, arc, corner_deg) for points, arc in zip(polylines, arcs, strict=True)
        ]
        if sum(len(marks) - 1 for marks in with_corners) <= num_drawn:
            knots = with_corners
    counts = _deal(np.concatenate([np.diff(marks) for marks in knots]), num_drawn)
    resampled = []
    for points, arc, marks in zip(polylines, arcs, knots, strict=True):
        own, counts = counts[: len(marks) - 1], counts[len(marks) - 1 :]
        # Places along the stroke, equally spaced between one knot and the next.
        at = np.interp(
            np.arange(own.sum() + 1), np.concatenate([[0], np.cumsum(own)]).astype(float), marks
        )
        resampled.append(
            np.stack([np.interp(at, arc, points[:, 0]), np.interp(at, arc, points[:, 1])], axis=1)
        )
    return resampled


def _deal(lengths: FloatArray, num_vectors: int) -> npt.NDArray[np.int64]:
    """Distribute vectors to pieces: at least one each, the next to the longest vectors."""
    counts = np.ones(len(lengths), dtype=np.int64)
    for _ in range(num_vectors - len(lengths)):
        counts[np.argmax(lengths / counts)] += 1
    return counts


def _corners(points: FloatArray, arc: FloatArray, corner_deg: float) -> FloatArray:
    """Return the positions along the stroke of its ends and its sharp turns."""
    moved = np.concatenate([[True], np.diff(arc) > 0])
    points, places = points[moved], arc[moved]
    steps = np.diff(points, axis=0)
    heading = np.arctan2(steps[:, 1], steps[:, 0])
    turn = np.abs((np.diff(heading) + np.pi) % (2 * np.pi) - np.pi)
    inner = places[1:-1][turn > np.radians(corner_deg)]
    return np.concatenate([[0.0], inner, [arc[-1]]])
