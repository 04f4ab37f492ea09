"""Quality against bytes, one point per run."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from flwr_gan.plots.style import COLOURS, GREY, MARKERS, tidy

SIZES = (24.0, 52.0, 92.0, 145.0)
CHOICES = {"colour": COLOURS, "marker": MARKERS, "size": SIZES, "filling": (True, False)}
QUALITY = {
    "conditional_accuracy": "accuracy: generated samples\nrecognised as their label",
    "synthetic_accuracy": "accuracy: real test data,\ntrained on generated samples",
    "test_accuracy": "accuracy of the classifier\non test data",
    "frechet_distance": "Fréchet distance, lower is\nbetter (classifier features)",
}
_LOG_FROM = 4.0  # what spans less than this is shown on a linear axis


def has_quality(table: pd.DataFrame) -> bool:
    """Return whether a table of results holds something that can be drawn."""
    return "up_bytes" in table and any(_drawn(table))


def quality_figure(table: pd.DataFrame, factors: Sequence[str]) -> Figure:
    """Draw the quality measures of finished runs against the bytes of all their messages.

    The table has one row per run with ``up_bytes``, ``down_bytes``, the quality measures and the
    factors; rows without bytes are left out. Up to four factors are shown by colour (``codec``, if
    it varies), marker, size and filling; runs that differ only in ``seed`` become one point with a
    bar from the lowest to the highest. Raises ValueError when there is nothing to draw.
    """
    measures = _drawn(table)
    if "up_bytes" not in table or not measures:
        raise ValueError("no run of this table has quality measures")
    table = table[table["up_bytes"].notna()].copy()
    table["kB"] = (table["up_bytes"] + table["down_bytes"]).astype(float) / 1000
    roles = _roles(table, factors)
    hidden = [key for key in factors if key != "seed" and key not in roles.values()]
    hidden = [key for key in hidden if len(_values(table, key)) > 1]
    points = _points(table, [*roles.values(), *hidden], measures)
    figure = Figure(figsize=(7.2, 0.9 + 2.1 * len(measures)), layout="constrained")
    panels = figure.subplots(len(measures), 1, sharex=True, squeeze=False)[:, 0]
    looks = {role: _looks(role, _values(table, key)) for role, key in roles.items()}
    for axes, measure in zip(panels, measures, strict=True):
        _draw(axes, points, measure, roles, looks)
    _bytes_axis(panels[-1], points)
    handles = _legend(roles, looks)
    if hidden:
        handles.append(Line2D([], [], ls="", label="not told apart:\n" + "\n".join(hidden)))
    if "seed" in factors and table["seed"].nunique() > 1:
        handles.append(Line2D([], [], ls="-", color=GREY, label="range over seeds"))
    if handles:
        figure.legend(handles=handles, loc="outside right upper", frameon=False, fontsize=8)
    return figure


def _drawn(table: pd.DataFrame) -> list[str]:
    return [key for key in QUALITY if key in table and table[key].notna().any()]


def _roles(table: pd.DataFrame, factors: Sequence[str]) -> dict[str, str]:
    """Return the factors for colour, marker, size and filling."""
    left = [key for key in factors if key != "seed" and len(_values(table, key)) > 1]
    left.sort(key=lambda key: key != "codec")
    roles = dict(zip(("colour",), left[:1], strict=False))
    left = left[1:]
    if len(left) > 1:  # what is counted reads well as a size
        few = [key for key in left if len(_values(table, key)) <= len(SIZES)]
        counted = [key for key in few if pd.api.types.is_numeric_dtype(table[key])]
        roles |= dict(zip(("size",), (counted or few)[-1:], strict=False))
        left = [key for key in left if key not in roles.values()]
    if len(left) > 1:
        pairs = [key for key in left if len(_values(table, key)) == 2]
        roles |= dict(zip(("filling",), pairs[-1:], strict=False))
        left = [key for key in left if key not in roles.values()]
    roles |= dict(zip(("marker",), left[:1], strict=False))
    return {role: roles[role] for role in ("colour", "marker", "size", "filling") if role in roles}


def _points(table: pd.DataFrame, shown: list[str], measures: list[str]) -> pd.DataFrame:
    """Return one row for all runs that differ only in the seed: mean, lowest and highest."""
    keyed = table.assign(everything="")
    for key in shown:
        keyed[key] = _column(table, key)
    groups = keyed.groupby(["everything", *shown], sort=False)
    return groups[["kB", *measures]].agg(["mean", "min", "max"]).reset_index()


def _column(table: pd.DataFrame, key: str) -> "pd.Series[Any]":
    """Return a factor as numbers if all values are numbers, else as text."""
    return table[key] if pd.api.types.is_numeric_dtype(table[key]) else table[key].astype(str)


def _values(table: pd.DataFrame, key: str) -> list[Any]:
    column = _column(table, key)
    values = list(dict.fromkeys(column))
    return sorted(values) if pd.api.types.is_numeric_dtype(column) else values


def _looks(role: str, values: list[Any]) -> dict[Any, Any]:
    """Return what each value of a factor looks like."""
    choice: Sequence[Any] = CHOICES[role]
    if role == "colour" and len(values) > len(choice):
        choice = [to_hex(c) for c in colormaps["cividis"](np.linspace(0, 0.95, len(values)))]
    return {value: choice[i % len(choice)] for i, value in enumerate(values)}


def _draw(
    axes: Axes,
    points: pd.DataFrame,
    measure: str,
    roles: dict[str, str],
    looks: dict[str, dict[Any, Any]],
) -> None:
    drawn = [
        ({role: looks[role][point[key, ""]] for role, key in roles.items()}, point)
        for _, point in points.iterrows()
    ]
    # Large ones first, so that small ones stay in sight.
    for look, point in sorted(drawn, key=lambda pair: -pair[0].get("size", 0.0)):
        colour, filled = look.get("colour", COLOURS[0]), look.get("filling", True)
        x, y = point["kB", "mean"], point[measure, "mean"]
        if point[measure, "max"] > point[measure, "min"]:
            axes.vlines(x, point[measure, "min"], point[measure, "max"], color=colour, alpha=0.6)
        axes.scatter(
            x,
            y,
            s=look.get("size", SIZES[1]),
            marker=look.get("marker", MARKERS[0]),
            facecolor=colour if filled else "none",
            edgecolor="white" if filled else colour,
            linewidth=0.6 if filled else 1.4,
            alpha=0.85,
            zorder=3,
        )
    axes.set_ylabel(QUALITY[measure], fontsize=9)
    axes.tick_params(labelsize=9)
    axes.margins(x=0.06, y=0.12)
    tidy(axes)
    if measure == "frechet_distance":
        _log_where_wide(axes, axes.yaxis, points[measure, "mean"])


def _bytes_axis(axes: Axes, points: pd.DataFrame) -> None:
    axes.set_xlabel("all messages of a run, both directions (kB)", fontsize=9)
    _log_where_wide(axes, axes.xaxis, points["kB", "mean"])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def _log_where_wide(axes: Axes, axis: Axis, values: "pd.Series[float]") -> None:
    """Make an axis logarithmic, with plain numbers, if the values span a wide range."""
    lowest, highest = values.min(), values.max()
    if not highest > _LOG_FROM * lowest > 0:
        return
    (axes.set_xscale if axis is axes.xaxis else axes.set_yscale)("log")
    within_a_decade = highest < 12 * lowest
    axis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7) if within_a_decade else (1, 2, 5)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def _legend(roles: dict[str, str], looks: dict[str, dict[Any, Any]]) -> list[Line2D]:
    """Return one entry for each value of each factor, under the factor's name."""
    handles: list[Line2D] = []
    for role, key in roles.items():
        handles.append(Line2D([], [], ls="", label=f"$\\bf{{{_mathtext(key)}}}$"))
        for value, look in looks[role].items():
            colour = look if role == "colour" else GREY
            entry = Line2D(
                [], [], ls="", label=str(value), color=colour, marker="o", markersize=6.5
            )
            if role == "marker":
                entry.set_marker(look)
            elif role == "size":
                entry.set_markersize(float(np.sqrt(look)))
            elif role == "filling" and not look:
                entry.set_markerfacecolor("white")
            handles.append(entry)
    return handles


def _mathtext(key: str) -> str:
    return key.replace("_", r"\_").replace(" ", r"\ ")
