"""Synchronous and asynchronous federations on a mixed population, in virtual time.

::

    python -m experiments.links            # all that is committed here
    python -m experiments.links --short    # seconds; results in runs/
    python -m experiments.links --report   # only tables and pictures
    python -m experiments.links --ways "main job,FedBuff" --seeds 3,4
    python -m experiments.links devices=phones   # settings of all ways; results in runs/

A finished run is never repeated; the same command continues after an interruption.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from experiments.links.cases import SHORT, TARGET, WAYS, Case
from experiments.study.cases import Record
from experiments.study.command import Study
from experiments.study.figures import BLACK, BLUE, GREEN, ORANGE, RED, legend_below, tidy
from experiments.study.markdown import Columns, page_table
from experiments.study.results import description
from experiments.study.statistics import average
from flwr_gan.app.summary import to_target
from flwr_gan.plots.clock import PHASES

BASELINE, BUFFERED = "main job", "FedBuff"
EARLY = 0.9  # a second target, which depends less on the noise of the measure
_STYLES = {
    "main job": (BLACK, "-"), "FedAvg": (BLUE, "--"), "FedAvg, deadline": (ORANGE, "-."),
    "FedBuff": (RED, "-"), "FedAsync": (GREEN, ":"),
}  # fmt: skip


def cases(options: argparse.Namespace) -> list[Case]:
    """Return the runs, seed after seed."""
    short = options.preset == "short"
    return [
        Case(way, seed, (*(_short(way) if short else ()), *options.overrides))
        for seed in options.seeds
        for way in options.ways
    ]


def _short(way: str) -> list[str]:
    rounds = "strategy.rounds_per_level=1" if way == BASELINE else "federation.rounds=4"
    return [*SHORT.split(), rounds]


def tables(records: Sequence[Record]) -> dict[str, pd.DataFrame]:
    """Return one row per run, and means over seeds.

    ``time_ratio`` is the time to the target divided by that of the main job with the same seed;
    ``early_ratio`` is the same for a lower target. ``most`` and ``least`` are the largest and the
    smallest share of a client in the messages.
    """
    runs = pd.DataFrame([_row(record) for record in records])
    runs["virtual_s_to_target"] = runs["virtual_s_to_target"].astype(float)
    base = runs[runs["way"] == BASELINE].set_index("seed")
    for ratio, time in (("time_ratio", "virtual_s_to_target"), ("early_ratio", "early_s")):
        runs[ratio] = runs[time] / runs["seed"].map(base[time])
    measures = runs.columns.difference(["way", "seed"], sort=False)
    return {"runs.csv": runs, "summary.csv": average(runs, ["way"], measures)}


def _row(record: Record) -> dict[str, Any]:
    """Return the table row of a run."""
    early = to_target(record.result["rounds"], f"synthetic_accuracy:{EARLY}")
    exchanges = [client["exchanges"] for client in record.result["clients"]]
    return record.row | {
        "early_s": early["virtual_s_to_target"],
        "most": max(exchanges) / sum(exchanges),
        "least": min(exchanges) / sum(exchanges),
    }


def page(tables: Mapping[str, pd.DataFrame], run: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each marker of the page."""
    columns: Columns = [
        ("", "way"), ("seeds", "seeds"),
        (f"virtual s to {TARGET}", ("virtual_s_to_target", 1)),
        ("of the main job's", ("time_ratio", 2)),
        (f"virtual s to {EARLY}", ("early_s", 1)), ("of the main job's", ("early_ratio", 2)),
        ("virtual s in all", ("virtual_s", 0)), ("replies", ("replies", 0)),
        ("late", ("late", 0)), ("versions old", ("staleness", 1)),
        ("clients busy, %", ("busy", 0, 0.01)),
        ("messages, most asked client, %", ("most", 0, 0.01)),
        ("... least asked, %", ("least", 0, 0.01)),
        ("synthetic accuracy, end", ("synthetic_accuracy", 3)),
        ("best", ("best_accuracy", 3)), ("up, kB", ("up_bytes", 0, 1000)),
        ("down, kB", ("down_bytes", 0, 1000)),
    ]  # fmt: skip
    each: Columns = [
        ("", "way"), ("seed", "seed"), (f"virtual s to {TARGET}", ("virtual_s_to_target", 1)),
        ("of the main job's", ("time_ratio", 2)), ("rounds", ("rounds_to_target", 0)),
        (f"virtual s to {EARLY}", ("early_s", 1)), ("of the main job's", ("early_ratio", 2)),
        ("best accuracy", ("best_accuracy", 3)), ("virtual s in all", ("virtual_s", 0)),
        ("messages, most asked client, %", ("most", 0, 0.01)),
        ("... least asked, %", ("least", 0, 0.01)),
    ]  # fmt: skip
    ways = tables["summary.csv"]
    if ways["seeds"].max() < 3:  # too few seeds for intervals
        ways = ways.drop(columns=[name for name in ways if str(name).endswith("_half_width")])
    return {
        "ways": page_table(ways, columns),
        "seeds": page_table(tables["runs.csv"], each),
        "run": description(run),
    }


def figures(tables: Mapping[str, pd.DataFrame], records: Sequence[Record]) -> dict[str, Figure]:
    """Draw synthetic accuracy against virtual time, one line per run, and each client's time."""
    figure = Figure(figsize=(7.2, 3.8), layout="constrained")
    axes = figure.subplots()
    for way, (colour, line) in _STYLES.items():
        own = [record for record in records if record.case.way == way]
        for at, record in enumerate(own):
            rounds = pd.DataFrame(record.result["rounds"])
            axes.plot(
                rounds["virtual_s"], rounds["synthetic_accuracy"], color=colour, linestyle=line,
                linewidth=1.3, alpha=0.85, label="_" if at else way,
            )  # fmt: skip
    axes.axhline(TARGET, color="#666666", linewidth=0.8, linestyle=(0, (4, 3)))
    axes.set_xlabel("virtual time (s)")
    axes.set_ylabel("synthetic accuracy")
    axes.set_ylim(0, 1.02)
    axes.set_xlim(left=0)
    tidy(axes)
    legend_below(figure, axes, columns=len(_STYLES))
    return {"time.png": figure, "clients.png": _clients_figure(records)}


def _clients_figure(records: Sequence[Record]) -> Figure:
    """Draw how each client spent its time, with and without waiting, for one seed."""
    seed = min(record.case.seed for record in records)
    shown = [r for r in records if r.case.seed == seed and r.case.way in (BASELINE, BUFFERED)]
    figure = Figure(figsize=(7.2, 1.1 + 1.6 * len(shown)), layout="constrained")
    grid = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
    for axes, record in zip(grid, shown, strict=True):
        clients = pd.DataFrame(record.result["clients"]).sort_values("compute_factor")
        names = [f"{factor:.1f} × " for factor in clients["compute_factor"]]
        left = pd.Series(0.0, index=clients.index)
        for column, label, colour, hatch in PHASES:
            axes.barh(
                names, clients[column], left=left, height=0.72, color=colour, label=label,
                hatch=hatch, edgecolor="white", linewidth=0,
            )  # fmt: skip
            left += clients[column]
        axes.set_title(record.case.way, fontsize=10, loc="left")
        axes.set_ylabel("client, by its\ncompute factor", fontsize=9)
        axes.set_xlim(0, float(left.max()))
        axes.invert_yaxis()
        tidy(axes)
        axes.grid(visible=False, axis="y")
    grid[-1].set_xlabel("virtual time (s)")
    legend_below(figure, grid[0], columns=len(PHASES))
    return figure


STUDY = Study(
    module="experiments.links",
    about="Synchronous and asynchronous federations on a mixed population, in virtual time.",
    home=Path(__file__).parent,
    cases=cases,
    tables=tables,
    page=page,
    figures=figures,
    choices={"ways": tuple(WAYS)},
    overrides="settings of all runs",
    shown=("virtual_s_to_target", "synthetic_accuracy"),
)
main = STUDY.main

if __name__ == "__main__":
    sys.exit(main())
