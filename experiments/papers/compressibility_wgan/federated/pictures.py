"""The two pictures of the study, drawn only from its result files."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from experiments.papers.compressibility_wgan.federated.many_rounds import MEASURES
from experiments.papers.compressibility_wgan.federated.plan import PLAIN, TICKET
from experiments.papers.compressibility_wgan.pages import NAMES
from experiments.study import figures as plot
from experiments.study.cases import Record

# Column of one_shot.csv -> label, colour, line style, marker.
BYTES = {
    "dense_float32_message_bytes": ("dense generators, float32", plot.ORANGE, "-", "s"),
    "dense_zstd_message_bytes": ("dense generators, zstd", plot.ORANGE, "--", "s"),
    "ticket_message_bytes": ("tickets, lossless", plot.BLUE, "-", "o"),
    "ticket_int8_message_bytes": ("tickets, int8", plot.BLUE, "--", "o"),
    "data_float32_bytes": ("real data, float32", plot.GREY, "-", "^"),
    "data_float32_zstd_bytes": ("real data, float32 + zstd", plot.GREY, "--", "^"),
    "data_int8_zstd_bytes": ("real data, int8 + zstd", plot.BLACK, "-", "^"),
}
ACCURACY = {
    "accuracy_all_real": ("all real data", plot.BLACK, "-", "^"),
    "accuracy_equal_cost": ("real data of the int8 tickets' bytes", plot.GREY, "--", "^"),
    "accuracy_dense_pool": ("pool of dense generators", plot.ORANGE, "-", "s"),
    "accuracy_ticket_pool": ("pool of tickets", plot.BLUE, "-", "o"),
    "accuracy_int8_pool": ("pool of int8 tickets", plot.BLUE, "--", "o"),
    "accuracy_client_mean": ("one client's real data (mean, range)", plot.PINK, "-", "v"),
}
WIRE_COLOURS = {
    PLAIN: plot.BLACK,
    "sparse": plot.BLUE,
    "sparse:int8": plot.RED,
    "sparse:int6, feedback": plot.GREEN,
}


def figures(tables: Mapping[str, pd.DataFrame], records: Sequence[Record]) -> dict[str, Figure]:
    """Return the pictures of the existing tables."""
    made = {
        "one_shot.png": ("one_shot.csv", one_shot_picture),
        "quality_bytes.png": ("many_rounds.csv", rounds_picture),
    }
    return {picture: make(tables[name]) for picture, (name, make) in made.items() if name in tables}


def one_shot_picture(table: pd.DataFrame) -> Figure:
    """Draw bytes of all uploads (left) and accuracy under each partition (right) against K."""
    partitions = list(dict.fromkeys(table.partition))
    columns = 1 if len(partitions) == 1 else 2
    rows = -(-len(partitions) // columns)
    figure = Figure(figsize=(12.0, 6.6), layout="constrained")
    left, right = np.ravel(figure.subfigures(1, 2, width_ratios=[0.85, 1.15]))  # type: ignore[arg-type]
    axes = left.subplots()
    for column, (label, colour, dash, marker) in BYTES.items():
        mean = table.groupby("clients")[column].mean() / 1000
        axes.plot(mean.index, mean, dash, color=colour, marker=marker, label=label, linewidth=1.8)
    axes.set_yscale("log")
    _decimal(axes.yaxis)
    axes.set_ylabel("bytes of all clients together (kB)", fontsize=11)
    axes.set_title("What would travel", fontsize=12, loc="left")
    _clients_axis(axes, table)
    left.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9.5)
    grid = right.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, partition in zip(grid.flat, partitions, strict=False):
        part = table[table.partition == partition].sort_values("clients")
        for column, (label, colour, dash, marker) in ACCURACY.items():
            values = 100 * part[column]
            axes.plot(
                part.clients, values, dash, color=colour, marker=marker, label=label, linewidth=1.8
            )
        lowest, highest = 100 * part.accuracy_client_min, 100 * part.accuracy_client_max
        axes.vlines(part.clients, lowest, highest, color=plot.PINK, alpha=0.5, linewidth=5)
        axes.set_title(partition, fontsize=11, loc="left")
        axes.label_outer()
        _clients_axis(axes, table)
        axes.label_outer()
    right.supylabel("accuracy on real test data (%)", fontsize=11)
    plot.legend_below(right, grid.flat[0], columns=2)
    return figure


def rounds_picture(table: pd.DataFrame) -> Figure:
    """Draw three measures against cumulative bytes: lines are means over seeds, bands ranges."""
    names = list(dict.fromkeys(table.data))
    figure = Figure(figsize=(12.0, 0.9 + 3.5 * len(names)), layout="constrained")
    grid = figure.subplots(len(names), len(MEASURES), squeeze=False)
    for i, data in enumerate(names):
        part = table[table.data == data]
        for axes, measure in zip(grid[i], MEASURES, strict=True):
            for (strategy, wire), runs in part.groupby(["strategy", "wire"], sort=False):
                _draw_runs(axes, runs, measure, str(strategy), str(wire))
            axes.set_xscale("log")
            _decimal(axes.xaxis)
            axes.set_ylabel(NAMES[measure], fontsize=11)
            if measure == "frechet_distance":
                axes.set_yscale("log")
                _decimal(axes.yaxis)
                axes.set_ylabel(f"{NAMES[measure]} (lower is better)", fontsize=11)
            plot.tidy(axes, which="both")
            if i == len(names) - 1:
                axes.set_xlabel("bytes so far, both directions (MB)", fontsize=11)
        seeds, clients = part.seed.nunique(), "seed" if part.seed.nunique() == 1 else "seeds"
        grid[i][0].set_title(f"{data}, {seeds} {clients}", fontsize=12, loc="left")
    plot.legend_below(figure, grid[0][0], columns=4)
    return figure


def _draw_runs(axes: Axes, runs: pd.DataFrame, measure: str, strategy: str, wire: str) -> None:
    rounds = runs.groupby("round")
    sent, values = rounds.total_bytes.mean() / 1e6, rounds[measure]
    dash = "--" if strategy == TICKET else "-"
    axes.plot(
        sent,
        values.mean(),
        dash,
        color=WIRE_COLOURS[wire],
        linewidth=1.8,
        label=f"{strategy}, {wire}",
    )
    if runs.seed.nunique() > 1:
        low, high = values.min(), values.max()
        axes.fill_between(sent, low, high, color=WIRE_COLOURS[wire], alpha=0.12, linewidth=0)


def _clients_axis(axes: Axes, table: pd.DataFrame) -> None:
    axes.set_xticks(sorted(set(table.clients)))
    axes.set_xlabel("clients K", fontsize=11)
    plot.tidy(axes, which="both")


def _decimal(axis: Axis) -> None:
    """Label a logarithmic axis at 1, 2 and 5 with plain numbers."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())
