"""Quality class by class and client by client, and distances to the nearest training samples."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flwr_gan.plots.rounds import DISTANCE
from flwr_gan.plots.style import BLACK, BLUE, GREY, RED, tidy

Scores = Mapping[str, Mapping[str, float]]

_MEASURES = {"conditional_accuracy": "recognised as\ntheir label", "frechet_distance": DISTANCE}
_MARKS = (
    ("real_", "real training samples", BLACK, "_"),
    ("own_", "the client's last upload", RED, "o"),
)
_MOST_NAMES = 24  # of classes or clients that fit below an axis


def breakdown_figure(
    by_class: Scores,
    by_client: Scores,
    distances: tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]] | None,
) -> Figure:
    """Draw bars for classes on the left and clients on the right, and distances below them.

    Measures are ``conditional_accuracy`` and ``frechet_distance``; marks show them with the prefix
    ``real_`` or ``own_``. ``distances`` are those of generated and of real test samples to their
    nearest training sample, drawn as cumulative shares. Empty parts and None are left out. Raises
    ValueError if nothing is left.
    """
    tables = {"class": by_class, "client": by_client}
    shown = {name: table for name, table in tables.items() if table}
    measures = [m for m in _MEASURES if any(m in row for t in shown.values() for row in t.values())]
    rows = [[f"{name} {measure}" for name in shown] for measure in measures]
    if distances is not None:
        rows.append(["distances"] * max(1, len(shown)))
    if not rows:
        raise ValueError("neither classes nor clients nor distances: nothing to draw")
    figure = Figure(figsize=(7.2, 2.1 * len(rows) + 0.4), layout="constrained")
    grid = figure.subplot_mosaic(cast(Any, rows))
    for name, table in shown.items():
        for measure in measures:
            _draw_bars(grid[f"{name} {measure}"], table, measure)
        grid[f"{name} {measures[-1]}"].set_xlabel(name, fontsize=9)
    for measure in measures:
        grid[f"{next(iter(shown))} {measure}"].set_ylabel(_MEASURES[measure], fontsize=9)
    if distances is not None:
        _draw_distances(grid["distances"], *distances)
    return figure


def _draw_bars(axes: Axes, table: Scores, measure: str) -> None:
    at = np.arange(len(table))
    for prefix, label, colour, marker in (("", "", "", ""), *_MARKS):
        values = [row.get(prefix + measure, np.nan) for row in table.values()]
        if np.isnan(values).all():
            continue
        if prefix:
            axes.plot(
                at, values, color=colour, marker=marker, markersize=6, linestyle="", label=label
            )
        else:
            axes.bar(at, values, 0.7, color=BLUE, alpha=0.8)
    if measure.endswith("accuracy"):
        axes.set_ylim(0, 1.02)
    elif axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8)
        axes.margins(y=0.3)
    step = -(-len(table) // _MOST_NAMES)
    axes.set_xticks(at[::step], list(table)[::step], fontsize=8)
    if max(map(len, table)) > 3:
        axes.tick_params(axis="x", rotation=90)
    axes.tick_params(axis="y", labelsize=8)
    tidy(axes)
    axes.grid(visible=False, axis="x")


def _draw_distances(
    axes: Axes, generated: npt.NDArray[np.floating], real: npt.NDArray[np.floating]
) -> None:
    for values, label, colour, line in (
        (generated, "generated samples", BLUE, "-"),
        (real, "real test samples", GREY, "--"),
    ):
        axes.ecdf(values, label=label, color=colour, linestyle=line, linewidth=1.6)
    axes.set_xlim(left=0)
    axes.set_xlabel("distance to the nearest training sample of the class", fontsize=9)
    axes.set_ylabel("share of samples", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.legend(loc="lower right", frameon=False, fontsize=8)
    tidy(axes)
