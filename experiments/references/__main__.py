"""Cost and quality of a federation, against all data in one place and against each client alone.

::

    python -m experiments.references                            # all that is committed here
    python -m experiments.references --short                    # two minutes; results in runs/
    python -m experiments.references --settings classifier --seeds 3,4
    python -m experiments.references --report                   # only the tables
    python -m experiments.references partition.alpha=0.1        # settings of all ways

Further arguments are settings of all ways. A finished run is never repeated; the same command
continues after an interruption.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.references.cases import QUALITY, SETTINGS, SHORT, TRAINED, Case
from experiments.study.cases import Record, all_rows
from experiments.study.command import Study
from experiments.study.markdown import Cell, Columns, page_table
from experiments.study.results import description
from experiments.study.statistics import average

_NAMES = {name: name.replace("_", " ").replace("frechet", "Fréchet") for name in QUALITY}


def cases(options: argparse.Namespace) -> list[Case]:
    """Return the runs, seed after seed."""
    short = SHORT if options.preset == "short" else {}
    return [
        Case(setting=setting, trained=trained, seed=seed,
             overrides=(*short.get(setting, ()), *options.overrides))
        for seed in options.seeds
        for setting in options.settings
        for trained in TRAINED
    ]  # fmt: skip


def tables(records: Sequence[Record]) -> dict[str, pd.DataFrame]:
    """Return one row per run, and means over seeds of the means over clients."""
    runs = all_rows(records, "runs")
    measured = [name for name in QUALITY if name in runs]
    runs = runs[["setting", "trained", "seed", *measured]]
    place = ["setting", "trained"]
    seeds = runs.groupby([*place, "seed"], sort=False)[measured].mean().reset_index()
    summary = average(seeds, place, measured)
    groups = runs.groupby(place, sort=False)[measured]
    for end, values in (("min", groups.min()), ("max", groups.max())):
        summary = summary.merge(values.add_suffix(f"_{end}").reset_index(), on=place)
    return {"runs.csv": runs, "summary.csv": summary}


def page(tables: Mapping[str, pd.DataFrame], run: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each marker of the page: one table per setting."""
    summary = tables["summary.csv"]
    parts = {"run": description(run)}
    for setting, rows in summary.groupby("setting", sort=False):
        measured = [name for name in QUALITY if name in rows and rows[name].notna().all()]
        columns: Columns = [("trained", "trained"), ("seeds", "seeds")]
        for name in measured:
            columns.append((_NAMES[name], (name, 3)))
            columns.append(("lowest to highest run", _ends(name)))
        parts[str(setting)] = page_table(rows, columns)
    return parts


def _ends(name: str) -> Cell:
    return lambda row: f"{row[f'{name}_min']:.3f} to {row[f'{name}_max']:.3f}"


STUDY = Study(
    module="experiments.references",
    about="Federations beside all data in one place, and beside each client alone.",
    home=Path(__file__).parent,
    cases=cases,
    tables=tables,
    page=page,
    choices={"settings": tuple(SETTINGS)},
    short="two minutes; to try it",
    overrides="settings of all ways",
    libraries=("torch", "numpy", "flwr"),
)
main = STUDY.main

if __name__ == "__main__":
    sys.exit(main())
