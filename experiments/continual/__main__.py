"""The continual preset, and the same without replay, regeneration, dense phases or silence.

::

    python -m experiments.continual                 # all that is committed here
    python -m experiments.continual --short         # seconds; results in runs/
    python -m experiments.continual --report        # only tables and picture
    python -m experiments.continual --ways "as the preset,no replay" --seeds 3,4
    python -m experiments.continual data=pendigits  # settings of all ways; results in runs/

A finished run is never repeated; the same command continues after an interruption.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from experiments.continual.cases import SHORT, WAYS, Case
from experiments.study.cases import Record, all_rows
from experiments.study.command import Study
from experiments.study.figures import BLACK, BLUE, GREEN, PINK, RED, SKY, row_of_panels, tidy
from experiments.study.markdown import Columns, page_table
from experiments.study.results import description
from experiments.study.statistics import average, differences

BASELINE = next(iter(WAYS))
CAPACITY = (
    "freed", "regained", "regained_shared", "pruned_at_end",
    "new_without_regained", "new_without_others", "old_without_regained", "old_without_others",
)  # fmt: skip
# Line styles distinguish the ways without colour.
_STYLES = {
    "as the preset": (BLACK, "-"),
    "no replay": (RED, "--"),
    "no regeneration": (BLUE, "-."),
    "neither": (PINK, ":"),
    "never dense again": (GREEN, (0, (5, 1, 1, 1, 1, 1))),
    "never silent": (SKY, (0, (1, 1))),
}


def cases(options: argparse.Namespace) -> list[Case]:
    """Return the runs, seed after seed."""
    short = SHORT.split() if options.preset == "short" else []
    overrides = (*short, *options.overrides)
    return [
        Case(way=way, seed=seed, overrides=overrides)
        for seed in options.seeds
        for way in options.ways
    ]


def tables(records: Sequence[Record]) -> dict[str, pd.DataFrame]:
    """Return one row per run and one row per client, and means over seeds of both."""
    runs = pd.DataFrame([record.row for record in records])
    clients = all_rows(records, "capacity")
    found = {"runs.csv": runs, "summary.csv": average(runs, ["way"], runs.columns[2:])}
    if len(clients):
        by_run = clients.groupby(["way", "seed"], sort=False)[list(CAPACITY)].mean().reset_index()
        found |= {"clients.csv": clients, "capacity.csv": average(by_run, ["way"], CAPACITY)}
    return found


def page(tables: Mapping[str, pd.DataFrame], run: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each marker of the page: ways, differences to the preset, capacity."""
    ways: Columns = [
        ("", "way"), ("seeds", "seeds"),
        ("old, before the change", ("old_accuracy_before", 3)),
        ("old, at the end", ("old_accuracy", 3)), ("new, at the end", ("new_accuracy", 3)),
        ("forgetting", ("forgetting_accuracy", 3)), ("pool, all classes", ("pool_accuracy", 3)),
        ("Fréchet distance", ("frechet_distance", 2)), ("uploads", ("uploads", 0)),
        ("up, kB", ("up_bytes", 0, 1000)), ("down, kB", ("down_bytes", 0, 1000)),
    ]  # fmt: skip
    changes: Columns = [
        ("", "way"), ("pairs", "seeds"), ("old, at the end", ("old_accuracy", 3)),
        ("new, at the end", ("new_accuracy", 3)), ("up, kB", ("up_bytes", 0, 1000)),
    ]  # fmt: skip
    capacity: Columns = [
        ("", "way"), ("freed, % of weights", ("freed", 1, 0.01)),
        ("regained, %", ("regained", 1, 0.01)),
        ("of them shared, %", ("regained_shared", 1, 0.01)),
        ("pruned at the end, %", ("pruned_at_end", 1, 0.01)),
        ("new, without them", ("new_without_regained", 2)),
        ("... without others", ("new_without_others", 2)),
        ("old, without them", ("old_without_regained", 2)),
        ("... without others", ("old_without_others", 2)),
    ]  # fmt: skip
    runs = tables["runs.csv"]
    preset = differences(
        runs, runs["way"] == BASELINE, groups=["way"], pair=["seed"],
        measures=["old_accuracy", "new_accuracy", "up_bytes"],
    )  # fmt: skip
    return {
        "ways": page_table(tables["summary.csv"], ways),
        "differences": page_table(preset, changes, sign="+"),
        "capacity": page_table(tables.get("capacity.csv", pd.DataFrame()), capacity),
        "run": description(run),
    }


def figures(tables: Mapping[str, pd.DataFrame], records: Sequence[Record]) -> dict[str, Figure]:
    """Draw accuracy on old and new classes and cumulative uploads, one line per way."""
    rounds = all_rows(records, "rounds")
    rounds["sent"] = rounds.groupby(["way", "seed"])["up_bytes"].cumsum() / 1e6
    panels = {
        "accuracy_0": "first classes: recognised",
        "accuracy_1": "new classes: recognised",
        "sent": "uploaded so far, MB",
    }
    figure, grid = row_of_panels(len(panels), width=3.4, height=3.6)
    change = rounds.loc[rounds["stage"] > 0, "round"].min()
    for axes, (column, title) in zip(grid, panels.items(), strict=True):
        for way, part in rounds.groupby("way", sort=False):
            colour, line = _STYLES[str(way)]
            mean = part.groupby("round")[column].mean()
            axes.plot(mean.index, mean, color=colour, linestyle=line, lw=1.5, label=str(way))
        axes.axvline(change - 0.5, color="#666666", linewidth=0.8, linestyle=(0, (2, 3)))
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("round", fontsize=9)
        axes.set_ylim(bottom=0, top=None if column == "sent" else 1.02)
        tidy(axes)
    grid[-1].legend(frameon=False, fontsize=8)
    return {"course.png": figure}


STUDY = Study(
    module="experiments.continual",
    about="Continual learning, as the preset and without its parts.",
    home=Path(__file__).parent,
    cases=cases,
    tables=tables,
    page=page,
    figures=figures,
    choices={"ways": tuple(WAYS)},
    overrides="settings of all ways",
    libraries=("torch", "numpy", "flwr"),
    shown=("old_accuracy", "new_accuracy", "up_bytes"),
)
main = STUDY.main

if __name__ == "__main__":
    sys.exit(main())
