"""Counts as pictures: samples per client and class; confusion matrices."""

# P clients (partitions), K classes

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

_CELL_HEIGHT_INCHES = 0.26
# With more rows or columns, counts could not be read and are left out.
_MAX_WITH_COUNTS = 64
_MAX_SIDE_INCHES = 40.0


def partition_picture(
    counts_PK: npt.NDArray[np.integer], class_names: Sequence[str], *, title: str = ""
) -> Figure:
    """Draw how many samples of each class each client holds, and their sums.

    Raises ValueError when there is not one name for each of the K columns.
    """
    sums = [f"{row.sum():,}" for row in counts_PK]
    clients = list(map(str, range(len(counts_PK))))
    labels = ("client", "class")
    return _counts_picture(
        counts_PK, clients, class_names, labels=labels, beside=("sum", sums), title=title
    )


def confusion_picture(counts_KK: npt.NDArray[np.integer], class_names: Sequence[str]) -> Figure:
    """Draw a confusion matrix: true classes (rows) and predicted classes (columns).

    The recognised share is shown next to each row. Raises ValueError when there is not one
    name for each class.
    """
    totals_K = np.maximum(counts_KK.sum(axis=1), 1)
    right = [f"{100 * n / of:.1f} %" for n, of in zip(np.diag(counts_KK), totals_K, strict=True)]
    labels = ("class", "taken for")
    return _counts_picture(
        counts_KK, class_names, class_names, labels=labels, beside=("right", right), title=""
    )


def _counts_picture(
    counts_PK: npt.NDArray[np.integer],
    row_names: Sequence[str],
    class_names: Sequence[str],
    *,
    labels: tuple[str, str],
    beside: tuple[str, Sequence[str]],
    title: str,
) -> Figure:
    """Draw counts as shades and numbers; ``beside`` is the head and the cells of a last column."""
    if counts_PK.ndim != 2 or counts_PK.shape[1] != len(class_names) or not counts_PK.size:
        raise ValueError(f"counts of shape {counts_PK.shape} are not (P, {len(class_names)})")
    num_clients, num_classes = counts_PK.shape
    cell_width = 0.17 + 0.075 * max(len(str(counts_PK.max())), 2)
    width = min(1.7 + cell_width * (num_classes + 1), _MAX_SIDE_INCHES)
    height = min(1.2 + _CELL_HEIGHT_INCHES * num_clients, _MAX_SIDE_INCHES)
    figure = Figure(figsize=(max(width, 4.0), max(height, 2.2)), layout="constrained")
    axes = figure.add_subplot()
    # Few classes a client make the counts uneven: the square root keeps small ones visible.
    shade_PK = np.sqrt(counts_PK / max(counts_PK.max(), 1))
    axes.imshow(
        np.where(counts_PK > 0, 0.08 + 0.92 * shade_PK, 0),
        cmap="Blues",
        vmin=0,
        vmax=1.15,
        aspect="auto",
    )
    axes.set_xticks(range(num_classes), class_names, fontsize=9)
    if max(map(len, class_names)) > 3:
        axes.tick_params(axis="x", rotation=45)
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    axes.set_ylabel(labels[0])
    axes.set_xlabel(labels[1])
    if title:
        axes.set_title(title, fontsize=11, pad=14)
    axes.set_xlim(-0.5, num_classes + 0.5)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if num_clients <= _MAX_WITH_COUNTS:
        axes.set_yticks(range(num_clients), row_names, fontsize=9)
        for at, text in enumerate(beside[1]):
            axes.text(num_classes, at, text, ha="center", va="center", fontsize=8)
        axes.text(num_classes, -0.62, beside[0], ha="center", va="bottom", fontsize=9)
    if max(num_clients, num_classes) <= _MAX_WITH_COUNTS:
        for (client, k), count in np.ndenumerate(counts_PK):
            if count:
                colour = "white" if shade_PK[client, k] > 0.65 else "black"
                cell = axes.text(k, client, str(count), ha="center", va="center", fontsize=8)
                # Thousands of counts would make the layout slow, and cannot stick out.
                cell.set(color=colour, in_layout=False)
    return figure
