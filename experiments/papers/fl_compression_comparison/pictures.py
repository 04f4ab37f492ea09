"""Figs. 4 and 5 of the paper: quality by round; delay and transmission ratio of each model."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from experiments.papers.fl_compression_comparison.results import ALGORITHM_NAMES
from experiments.papers.fl_compression_comparison.setting import (
    ALGORITHMS,
    BY_NAME,
    METHODS,
    PARTITIONS,
    TABLE_5,
)
from experiments.study.cases import Record
from experiments.study.figures import BLACK, BLUE, ORANGE, PINK, RED, tidy

# Distilled models are dashed.
LOOKS = {
    "none": (BLACK, "-"),
    "p": (RED, "-"),
    "q": (BLUE, "-"),
    "pq": (PINK, "-"),
    "d": (BLACK, "--"),
    "pd": (RED, "--"),
    "qd": (BLUE, "--"),
    "pqd": (PINK, "--"),
}
ROWS = (
    ("test_accuracy", "accuracy on test data (%)"),
    ("train_accuracy", "accuracy on training data (%)"),
    ("test_loss", "cross entropy on test data"),
    ("train_loss", "cross entropy on training data"),
)
DELAY = (
    ("compute_s", "training, measured (processor time)", BLUE),
    ("coding_s", "coding, measured", ORANGE),
    ("transfer_computed_s", "transfer, computed at {link:g} Mbit/s", "#bbbbbb"),
)


def figures(tables: Mapping[str, pd.DataFrame], records: Sequence[Record]) -> dict[str, Figure]:
    """Return both figures, the first one per algorithm."""
    rounds, summary = tables["rounds.csv"], tables["summary.csv"]
    found = {}
    for algorithm in ALGORITHMS:
        part = rounds[(rounds["algorithm"] == algorithm) & (rounds["partition"] != "whole")]
        part = part[part["method"].isin(LOOKS)]
        if len(part):
            found[f"fig4_{algorithm}.png"] = rounds_figure(part, algorithm)
    part = summary[summary["method"].isin(TABLE_5) & (summary["partition"] == "iid")]
    part = part[part["algorithm"] == "fedavg"].set_index("method")
    if len(part):
        found["fig5.png"] = costs_figure(part, link_mbit=records[0].case.link_mbit)
    return found


def rounds_figure(rounds: pd.DataFrame, algorithm: str) -> Figure:
    """Draw test and training accuracy and loss by round, one column per split."""
    partitions = list(dict.fromkeys(rounds["partition"]))
    figure = Figure(figsize=(5.2 * len(partitions), 12.5), layout="constrained")
    grid = figure.subplots(len(ROWS), len(partitions), squeeze=False, sharey="row", sharex=True)
    for row, (measure, label) in zip(grid, ROWS, strict=True):
        factor = 100 if measure.endswith("accuracy") else 1
        for axes, partition in zip(row, partitions, strict=True):
            here = rounds[(rounds["partition"] == partition) & (rounds["round"] > 0)]
            for method, (colour, dash) in LOOKS.items():
                part = here[here["method"] == method].sort_values("round")
                axes.plot(part["round"], factor * part[measure], color=colour, ls=dash, lw=1.4)
            if partition == partitions[0]:
                axes.set_ylabel(label)
            tidy(axes)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes, partition in zip(grid[0], partitions, strict=True):
        axes.set_title(f"{PARTITIONS[str(partition)]}, {ALGORITHM_NAMES[algorithm]}")
    for axes in grid[-1]:
        axes.set_xlabel("round")
    handles = [
        Line2D([], [], color=colour, ls=dash, lw=1.8, label=BY_NAME[method].title)
        for method, (colour, dash) in LOOKS.items()
        if method in set(rounds["method"])
    ]
    columns = 2 * len(partitions)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False)
    return figure


def costs_figure(summary: pd.DataFrame, *, link_mbit: float) -> Figure:
    """Draw round delay and transmission ratio of each model, ours and the paper's."""
    methods = [method for method in METHODS if method.name in summary.index]
    names = [method.name for method in methods]
    titles = [method.title for method in methods]
    figure = Figure(figsize=(10.5, 4.8), layout="constrained")
    delay, ratio = figure.subplots(1, 2)
    at = np.arange(len(names))
    bottom = np.zeros(len(names))
    for column, label, colour in DELAY:
        values = summary.loc[names, column].to_numpy(dtype=float)
        text = label.format(link=link_mbit)
        delay.bar(at, values, bottom=bottom, color=colour, label=text, width=0.6)
        bottom += values
    delay.set_ylabel("seconds of a round, slowest client")
    paper = [TABLE_5[name].ratio for name in names]
    ratio.bar(at - 0.2, paper, width=0.38, color="#bbbbbb", label="the paper's")
    bars = ratio.bar(
        at + 0.2, summary.loc[names, "ratio"], width=0.38, color=BLUE,
        label="ours, measured, both directions",
    )  # fmt: skip
    ratio.bar_label(bars, fmt="%.2f", fontsize=8, padding=1)
    ratio.set_ylabel("transmission ratio to SimpleNN in float32")
    for axes in (delay, ratio):
        axes.set_xticks(at, titles, rotation=35, ha="right")
        axes.set_ylim(0, axes.get_ylim()[1] * 1.2)
        tidy(axes)
        axes.legend(frameon=False, fontsize=9, loc="upper right")
    return figure
