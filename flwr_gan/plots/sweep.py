"""Quality against bytes, one point a run."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

# Okabe and Ito: distinct to the colour-blind.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c8c00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
SIZES = (28.0, 62.0, 110.0, 170.0)
QUALITY = {
    "conditional_accuracy": "generated samples\nrecognised as their label",
    "synthetic_accuracy": "real test data, trained\non generated samples",
    "frechet_distance": "Fréchet distance\n(classifier features)",
}
_LOG_FROM = 4.0  # bytes that span less than this are shown on a linear axis


def has_quality(table: pd.DataFrame) -> bool:
    """Return whether a table of results holds something that can be drawn."""
    return "up_bytes" in table and any(_drawn(table))


def quality_figure(table: pd.DataFrame, factors: Sequence[str]) -> Figure:
    """Draw the quality measures of finished runs against the bytes of all their messages.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a run with the columns ``up_bytes``, ``down_bytes``, the quality measures, and the
        factors. Rows without bytes are left out.
    factors : sequence of str
        Columns of settings that vary. The first (``codec``, where it varies) is shown as colour,
        then marker, then size; runs that differ in ``seed`` alone become one point with a bar
        from the lowest to the highest.

    Raises
    ------
    ValueError
        When there is nothing to draw.
    """
    measures = _drawn(table)
    if "up_bytes" not in table or not measures:
        raise ValueError("no run of this table has quality measures")
    table = table[table["up_bytes"].notna()].copy()
    table["kB"] = (table["up_bytes"] + table["down_bytes"]).astype(float) / 1000
    shown = _roles(table, factors)
    points = _points(table, shown, measures)
    figure = Figure(figsize=(7.2, 1.0 + 2.3 * len(measures)), layout="constrained")
    panels = figure.subplots(len(measures), 1, sharex=True, squeeze=False)[:, 0]
    styles = _styles(table, shown)
    for axes, measure in zip(panels, measures, strict=True):
        _draw(axes, points, measure, shown, styles)
    _bytes_axis(panels[-1], points)
    handles = _legend(table, shown, styles, seeds="seed" in factors)
    if handles:
        figure.legend(handles=handles, loc="outside right upper", frameon=False, fontsize=8)
    return figure


def _drawn(table: pd.DataFrame) -> list[str]:
    return [key for key in QUALITY if key in table and table[key].notna().any()]


def _roles(table: pd.DataFrame, factors: Sequence[str]) -> list[str]:
    """Return the factors for colour, marker and size, in this order."""
    varying = [key for key in factors if key != "seed" and table[key].astype(str).nunique() > 1]
    varying.sort(key=lambda key: key != "codec")
    if len(varying) > 2:  # what is counted reads better as a size than as a marker
        small = [key for key in varying[1:] if _levels(table, key) <= len(SIZES)]
        counted = [key for key in small if pd.api.types.is_numeric_dtype(table[key])]
        last = (counted or small or varying[2:])[-1]
        others = [key for key in varying[1:] if key != last]
        varying = [varying[0], others[0], last, *others[1:]]
    return varying


def _levels(table: pd.DataFrame, key: str) -> int:
    return int(table[key].astype(str).nunique())


def _points(table: pd.DataFrame, shown: list[str], measures: list[str]) -> pd.DataFrame:
    """Return one row for all runs that differ in the seed alone: mean, lowest and highest."""
    keyed = table.assign(everything="")
    for key in shown:
        keyed[key] = _column(table, key)
    groups = keyed.groupby(["everything", *shown], sort=False)
    return groups[["kB", *measures]].agg(["mean", "min", "max"]).reset_index()


def _column(table: pd.DataFrame, key: str) -> "pd.Series[Any]":
    """Return a factor as numbers where it has nothing but numbers, as text otherwise."""
    return table[key] if pd.api.types.is_numeric_dtype(table[key]) else table[key].astype(str)


def _values(table: pd.DataFrame, key: str) -> list[Any]:
    column = _column(table, key)
    values = list(dict.fromkeys(column))
    return sorted(values) if pd.api.types.is_numeric_dtype(column) else values


def _styles(table: pd.DataFrame, shown: list[str]) -> list[dict[Any, Any]]:
    """Return, for colour, marker and size, what each value of the factor looks like."""
    styles: list[dict[Any, Any]] = []
    for place, key in enumerate(shown[:3]):
        values = _values(table, key)
        if place == 0 and len(values) > len(COLOURS):
            ramp = colormaps["cividis"](np.linspace(0, 0.95, len(values)))
            looks: Sequence[Any] = [to_hex(colour) for colour in ramp]
        else:
            looks = (COLOURS, MARKERS, SIZES)[place]
        styles.append({value: looks[i % len(looks)] for i, value in enumerate(values)})
    return styles


def _draw(
    axes: Axes,
    points: pd.DataFrame,
    measure: str,
    shown: list[str],
    styles: list[dict[Any, Any]],
) -> None:
    for _, point in points.iterrows():
        look = [style[point[key, ""]] for key, style in zip(shown, styles, strict=False)]
        look += (COLOURS[0], MARKERS[0], SIZES[1])[len(look) :]
        colour, marker, size = look
        x, y = point["kB", "mean"], point[measure, "mean"]
        if point[measure, "max"] > point[measure, "min"]:
            axes.vlines(x, point[measure, "min"], point[measure, "max"], color=colour, alpha=0.6)
        axes.scatter(
            x, y, s=size, c=colour, marker=marker, alpha=0.85, lw=0.6, ec="white", zorder=3
        )
    axes.set_ylabel(QUALITY[measure], fontsize=9)
    axes.tick_params(labelsize=9)
    axes.grid(alpha=0.3)
    axes.margins(x=0.06, y=0.12)
    axes.spines[["top", "right"]].set_visible(False)


def _bytes_axis(axes: Axes, points: pd.DataFrame) -> None:
    sizes = points["kB", "mean"]
    axes.set_xlabel("all messages of a run, both directions (kB)", fontsize=9)
    if sizes.max() > _LOG_FROM * sizes.min() > 0:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def _legend(
    table: pd.DataFrame, shown: list[str], styles: list[dict[Any, Any]], *, seeds: bool
) -> list[Line2D]:
    """Return one entry for each value of each factor, under the factor's name."""
    handles: list[Line2D] = []
    plain: dict[str, Any] = {"ls": "", "color": "#555555", "marker": "o", "markersize": 6.5}
    for place, (key, style) in enumerate(zip(shown, styles, strict=False)):
        handles.append(Line2D([], [], ls="", label=f"$\\bf{{{_mathtext(key)}}}$"))
        for value, look in style.items():
            own = {"color": look} if place == 0 else {"marker": look}
            own = {"markersize": np.sqrt(look)} if place == 2 else own
            handles.append(Line2D([], [], label=str(value), **(plain | own)))
    if len(shown) > 3:
        handles.append(Line2D([], [], ls="", label="not shown: " + ", ".join(shown[3:])))
    if seeds and table["seed"].nunique() > 1:
        handles.append(Line2D([], [], ls="-", color="#555555", label="range over seeds"))
    return handles


def _mathtext(key: str) -> str:
    return key.replace("_", r"\_").replace(" ", r"\ ")
