"""The fronts, and samples of chosen entries side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from experiments.benchmarks.families.material import Material
from experiments.benchmarks.families.results import QUALITY, SMALLER, comparable
from experiments.study.cases import Record
from experiments.study.figures import BLACK, BLUE, GREEN, ORANGE, PINK, RED, SKY, tidy
from experiments.study.results import read_samples
from flwr_gan.plots import sample_grid

# Each family also has its own marker.
LOOKS = {
    "none": (BLACK, "o"),
    "pruning": (RED, "v"),
    "distillation": (GREEN, "s"),
    "low rank": (ORANGE, "D"),
    "precision": (BLUE, "^"),
    "encoding": (PINK, "P"),
    "combination": (SKY, "X"),
}
SHOWN = (
    "raw", "further_training", "int8", "int4", "int4_trained", "ternary_trained", "prune90",
    "prune80_trained", "gradual90", "channels50_magnitude", "scratch50", "distil50_all",
    "distil50_long", "lowrank8", "factored8", "codebook16", "codebook4_tuned",
    "gradual80_int4_trained",
)  # fmt: skip
COLUMNS = 12
WORST = 100.0
"""Ratios above this are drawn at the upper edge."""


@dataclass(frozen=True)
class Axis:
    """The horizontal axis of a front; up to ``most_left`` decades are free for labels."""

    cost: str
    label: str
    title: str
    most_left: float


AXES = (
    Axis("payload_bytes", "payload (kB)", "bytes", 0.6),
    Axis("sparse_macs", "multiply-accumulates of a sample, zero weights skipped", "macs", 0.6),
    Axis(
        "cost_cpu_s",
        f"processor seconds of training and coding; payloads at least {SMALLER} times smaller",
        "cost",
        1.2,
    ),
)


def figures(tables: Mapping[str, pd.DataFrame], records: Sequence[Record]) -> dict[str, Figure]:
    """Return the fronts, and samples of the first seed."""
    kinds = list(dict.fromkeys(record.case.material for record in records))
    fronts = {
        f"front_{axis.title}.png": front_figure(tables["summary.csv"], kinds, axis) for axis in AXES
    }
    samples = {f"samples_{kind.name}.png": samples_figure(records, kind) for kind in kinds}
    return fronts | {name: figure for name, figure in samples.items() if figure is not None}


def front_figure(summary: pd.DataFrame, materials: Sequence[Material], axis: Axis) -> Figure:
    """Draw quality against a cost, one panel per kind of generator; the front is labelled."""
    shown = comparable(summary, axis.cost)
    there = set(shown["data"])
    materials = [material for material in materials if material.name in there] or materials
    figure = Figure(figsize=(9.5, 5.4 * len(materials) + 0.6), layout="constrained")
    panels = figure.subplots(len(materials), 1, squeeze=False)[:, 0]
    for axes, material in zip(panels, materials, strict=True):
        _draw_front(axes, shown[shown["data"] == material.name], axis)
        axes.set_title(material.title, loc="left", fontsize=11)
        axes.set_ylabel("Fréchet distance, times that of the\nuncompressed generator")
        axes.set_xlabel(axis.label)
    used = set(shown["family"])
    handles = [
        Line2D([], [], color=colour, marker=marker, ls="", ms=7, label=family)
        for family, (colour, marker) in LOOKS.items()
        if family in used
    ]
    handles.append(Line2D([], [], color="#777777", lw=1.2, label="front"))
    figure.legend(handles=handles, loc="outside upper center", ncols=4, frameon=False)
    return figure


def _draw_front(axes: Axes, part: pd.DataFrame, axis: Axis) -> None:
    part = part[np.isfinite(part[QUALITY])]
    if not len(part):
        return
    factor = 1000 if axis.cost == "payload_bytes" else 1
    x = part[axis.cost].to_numpy(dtype=float) / factor
    y = part[QUALITY].to_numpy(dtype=float).clip(max=WORST)
    axes.set_xscale("log")
    axes.set_yscale("log")
    for at, (_, row) in enumerate(part.iterrows()):
        colour, marker = LOOKS[str(row["family"])]
        reach = [min(row[f"{QUALITY}_{end}"], WORST) for end in ("min", "max")]
        axes.plot([x[at]] * 2, reach, color=colour, lw=1, alpha=0.35, zorder=1)
        over = row[QUALITY] > WORST
        axes.plot(x[at], y[at], marker=marker, color=colour, ms=7, mec="white", mew=0.6, zorder=3,
                  alpha=0.5 if over else 1.0)  # fmt: skip
    front = np.flatnonzero(part[f"front_{axis.cost}"].to_numpy(dtype=bool))
    front = front[np.argsort(x[front])]
    axes.step(x[front], y[front], where="post", color="#777777", lw=1.2, zorder=2)
    low, high = x.min(), x.max()
    decades = max(np.log10(high / low), 0.3)
    left = min(axis.most_left, 0.45 * decades)  # labels are left of the front
    axes.set_xlim(low / 10**left, high * 10 ** (0.06 * decades))
    if decades < 3:
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    bottom, top = max(y.min(), 1e-3), max(y.max(), 1.2)
    room = 0.15 + 0.035 * np.count_nonzero(front)  # labels are below the front
    axes.set_ylim(bottom / (top / bottom) ** room, top * (top / bottom) ** 0.06)
    axes.axhline(1, color=BLACK, lw=0.8, ls=":", zorder=0)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    for direction in (axes.xaxis, axes.yaxis):
        direction.set_major_formatter(FuncFormatter(_number))
    tidy(axes)
    labels = [str(part.iloc[at]["label"]) for at in front]
    _label(axes, x[front], y[front], labels)


def _number(value: float, _: object = None) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:.4g}"


def _label(
    axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], labels: Sequence[str]
) -> None:
    """Write a label below and left of each point, in free space; labels do not overlap."""
    if not labels:
        return
    left, right = np.log10(axes.get_xlim())
    low, high = np.log10(axes.get_ylim())
    # In shares of the panel: a line is about 1/30 of its height, a letter 1/130 of its width.
    u, v = (np.log10(x) - left) / (right - left), (np.log10(y) - low) / (high - low)
    line, letter = 1 / 27, 1 / 125
    taken: list[tuple[float, float, float]] = []
    for at in np.argsort(-v, kind="stable"):
        end, start = u[at] - 0.025, u[at] - 0.025 - letter * len(labels[at])
        if start < 0:
            start, end = 0.004, 0.004 + letter * len(labels[at])
        height = v[at] - 0.03
        while any(start < e and s < end and abs(height - h) < line for s, e, h in taken) or any(
            start < a < end + 0.01 and abs(height - b) < 0.6 * line
            for a, b in zip(u, v, strict=True)
        ):
            height -= line / 2
        taken.append((start, end, height))
        axes.annotate(
            labels[at], (u[at], v[at]), (end, height), xycoords="axes fraction", fontsize=8.5,
            ha="right", va="center", annotation_clip=False,
            arrowprops={
                "arrowstyle": "-", "color": "#999999", "lw": 0.6, "shrinkA": 1, "shrinkB": 3,
            },
        )  # fmt: skip


def samples_figure(records: Sequence[Record], material: Material) -> Figure | None:
    """Draw samples of chosen entries, one row per entry, one latent vector per column."""
    seed = records[0].case.seed
    own = {
        record.case.entry.name: record
        for record in records
        if record.case.material == material and record.case.seed == seed
    }
    shown = [own[name] for name in SHOWN if name in own]
    rows = [read_samples(record.folder)[:COLUMNS] for record in shown]
    labels = [record.case.entry.label for record in shown]
    return sample_grid(np.stack(rows), labels, material.kind) if rows else None
