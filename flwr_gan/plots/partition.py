"""Who holds what: a picture of a partition, clients x classes."""

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
    axes.set_xlabel("class")
    axes.set_ylabel("client")
    if title:
        axes.set_title(title, fontsize=11, pad=14)
    axes.set_xlim(-0.5, num_classes + 0.5)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if num_clients <= _MAX_WITH_COUNTS:
        axes.set_yticks(range(num_clients), map(str, range(num_clients)), fontsize=9)
        for client, row in enumerate(counts_PK):
            axes.text(num_classes, client, f"{row.sum():,}", ha="center", va="center", fontsize=8)
        axes.text(num_classes, -0.62, "sum", ha="center", va="bottom", fontsize=9)
    if max(num_clients, num_classes) <= _MAX_WITH_COUNTS:
        for (client, k), count in np.ndenumerate(counts_PK):
            if count:
                colour = "white" if shade_PK[client, k] > 0.65 else "black"
                cell = axes.text(k, client, str(count), ha="center", va="center", fontsize=8)
                # Thousands of counts would make the layout slow, and cannot stick out.
                cell.set(color=colour, in_layout=False)
    return figure
