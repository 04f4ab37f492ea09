"""Groups of runs: round by round, the mean as a line and the range as a band; zeros by layer."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from flwr_gan.plots.style import BLUE, COLOURS, MARKERS, RED, legend_above, tidy

# Lines that lie on each other stay distinguishable.
_STYLES = ("-", "--", "-.", ":")

Groups = Mapping[str, Sequence[pd.DataFrame]]


def traffic_figure(groups: Groups) -> Figure:
    """Draw the bytes of each round's messages, up and down, one line per group of runs.

    A group holds the ``rounds.csv`` of each of its runs; lines are means, bands ranges.
    """
    figure = Figure(figsize=(7.2, 5.4), layout="constrained")
    up, down = figure.subplots(2, 1, sharex=True, sharey=True)
    for axes, column, name in ((up, "up_bytes", "up"), (down, "down_bytes", "down")):
        draw_groups(axes, groups, column, scale=1e-3)
        axes.set_ylabel(f"messages going {name} (kB)", fontsize=9)
    up.set_xlabel("")
    if len(groups) > 1:
        legend_above(figure, up)
    return figure


def duration_figure(rounds: Groups, coding: Mapping[str, tuple[float, float]]) -> Figure:
    """Draw the seconds of each round above, and those of coding below.

    ``coding`` gives the seconds that the messages of a run took to encode and to decode, by the
    bar's name.
    """
    bars = 0.6 + 0.34 * len(coding)
    figure = Figure(figsize=(7.2, 3.4 + bars), layout="constrained")
    top, bottom = figure.subplots(2, 1, height_ratios=(2.8, bars))
    draw_groups(top, rounds, "wall_s")
    top.set_ylabel("seconds per round", fontsize=9)
    if len(rounds) > 1:
        legend_above(figure, top)
    rows = np.arange(len(coding))
    encode, decode = np.array(list(coding.values()), dtype=float).reshape(-1, 2).T
    bottom.barh(rows, encode, 0.6, color=BLUE, label="encode")
    bottom.barh(rows, decode, 0.6, left=encode, color=RED, label="decode")
    bottom.set_yticks(rows, list(coding), fontsize=8)
    bottom.invert_yaxis()
    bottom.set_xlabel("seconds of coding in a whole run", fontsize=9)
    bottom.tick_params(axis="x", labelsize=9)
    tidy(bottom)
    bottom.grid(visible=False, axis="y")
    bottom.legend(frameon=False, fontsize=8)
    return figure


def draw_groups(axes: Axes, groups: Groups, column: str, *, scale: float = 1.0) -> None:
    """Draw a column of ``rounds.csv`` against the round, one line per group."""
    for i, (label, runs) in enumerate(groups.items()):
        values = pd.concat([run.set_index("round")[column] * scale for run in runs], axis=1)
        mean, colour = values.mean(axis=1), COLOURS[i % len(COLOURS)]
        axes.plot(
            mean.index,
            mean,
            color=colour,
            linestyle=_STYLES[i % len(_STYLES)],
            marker="o",
            markersize=3,
            linewidth=1.5,
            label=label,
        )
        if values.shape[1] > 1:
            lowest, highest = values.min(axis=1), values.max(axis=1)
            axes.fill_between(mean.index, lowest, highest, color=colour, alpha=0.15, linewidth=0)
    axes.set_xlabel("round", fontsize=9)
    axes.tick_params(labelsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(bottom=0)
    tidy(axes)


def layers_figure(groups: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """Draw the share of zeros in each layer, one mark per group of runs.

    Each run gives the share of zeros by the layer's name, first layer first. Marks are means, bars
    ranges.
    """
    names = list(dict.fromkeys(name for runs in groups.values() for run in runs for name in run))
    height = 1.1 + 0.32 * len(names) + 0.22 * (len(groups) // 2 + 1)
    figure = Figure(figsize=(7.2, height), layout="constrained")
    axes = figure.subplots()
    # Marks of one layer stand a little apart.
    offsets = np.linspace(-0.22, 0.22, len(groups)) if len(groups) > 1 else [0.0]
    for i, (label, runs) in enumerate(groups.items()):
        colour = COLOURS[i % len(COLOURS)]
        for row, name in enumerate(names):
            shares = [100 * run[name] for run in runs if name in run]
            if not shares:
                continue
            y = row + offsets[i]
            axes.hlines(y, min(shares), max(shares), color=colour, alpha=0.5, linewidth=2)
            axes.plot(
                float(np.mean(shares)),
                y,
                color=colour,
                marker=MARKERS[i % len(MARKERS)],
                markersize=5.5,
                linestyle="",
                label=label if row == 0 else None,
            )
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(len(names) - 0.5, -0.5)  # the first layer on top
    axes.set_xlim(-2, 102)
    axes.set_xlabel("zeros among the weights (%)", fontsize=9)
    axes.tick_params(axis="x", labelsize=9)
    tidy(axes)
    if len(groups) > 1:
        legend_above(figure, axes)
    return figure
