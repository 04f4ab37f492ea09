"""Quality, bytes and membership inference against epsilon, on clients with uneven data.

::

    python -m experiments.privacy                 # all that is committed here
    python -m experiments.privacy --short         # seconds; results in runs/
    python -m experiments.privacy --report        # only tables and picture
    python -m experiments.privacy --data digits --epsilons none,10 --seeds 3,4

A finished run is never repeated; the same command continues after an interruption.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from experiments.privacy.cases import LONGER, PLAIN, PRESETS, Case, check_budget
from experiments.study.cases import Record, all_rows
from experiments.study.command import Study
from experiments.study.figures import BLUE, GREEN, RED, row_of_panels, tidy
from experiments.study.markdown import Columns, page_table
from experiments.study.options import words
from experiments.study.results import description
from experiments.study.statistics import average

_TITLES = {PLAIN: "no noise", LONGER: "no noise, longer"}
_PANELS = {
    "frechet_distance": "Fréchet distance",
    "conditional_accuracy": "conditional accuracy",
    "payload_bytes": "payload, bytes",
    "nearest": "membership AUC, nearest",
}


def cases(options: argparse.Namespace) -> list[Case]:
    """Return the runs, seed after seed."""
    settings = PRESETS[options.preset]
    epsilons = words(options.epsilons)
    for budget in epsilons:
        check_budget(budget)
    return [
        Case(data=name, budget=budget, seed=seed, setting=settings[name])
        for seed in options.seeds
        for name in options.data
        if name in settings
        for budget in epsilons or settings[name].budgets
    ]


def tables(records: Sequence[Record]) -> dict[str, pd.DataFrame]:
    """Return one row per run, one row per attacked upload, and means over seeds."""
    runs = pd.DataFrame([record.row for record in records])
    attacks = all_rows(records, "attacks")
    return {"runs.csv": runs, "attacks.csv": attacks, "summary.csv": summarise(runs)}


def summarise(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the mean and the half width of the 95 % t interval of all measures over seeds."""
    groups = ["data", "budget"]
    measured = [str(name) for name in runs if name not in (*groups, "seed", "epsilon")]
    summary = average(runs, groups, measured)
    epsilon = runs.groupby(groups, sort=False)["epsilon"].max()  # a bound, infinite without noise
    summary.insert(list(summary).index("noise_multiplier"), "epsilon", epsilon.to_numpy())
    return summary


def page(tables: Mapping[str, pd.DataFrame], run: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each marker of the page."""
    return {"epsilon": budget_table(tables["summary.csv"]), "run": description(run)}


def budget_table(summary: pd.DataFrame) -> str:
    """Return quality, bytes and attack results of each budget."""
    columns: Columns = [
        ("data", "data"),
        ("target epsilon", lambda row: _TITLES.get(str(row["budget"]), str(row["budget"]))),
        ("epsilon spent", lambda row: f"{row['epsilon']:.2f}".replace("inf", "∞")),
        ("noise multiplier", lambda row: f"{row['noise_multiplier']:.2f}"),
        ("seeds", "seeds"), ("Fréchet distance", ("frechet_distance", 2)),
        ("coverage", ("coverage", 2)), ("conditional accuracy", ("conditional_accuracy", 3)),
        ("synthetic accuracy", ("synthetic_accuracy", 3)),
        ("payload, bytes", ("payload_bytes", 0)), ("AUC nearest", ("nearest", 3)),
        ("AUC Monte Carlo", ("monte_carlo", 3)),
    ]  # fmt: skip
    return page_table(summary, columns)


def figures(tables: Mapping[str, pd.DataFrame], records: Sequence[Record]) -> dict[str, Figure]:
    """Draw quality, bytes and AUC against epsilon; a dashed line is training without noise."""
    summary = tables["summary.csv"]
    figure, panels = row_of_panels(len(_PANELS), width=3.6, height=3.4)
    private = ~summary["budget"].isin([PLAIN, LONGER])
    for axes, (name, title) in zip(panels, _PANELS.items(), strict=True):
        groups = summary.groupby("data", sort=False)
        for colour, (data, part) in zip((BLUE, RED, GREEN), groups, strict=False):
            own = part[private[part.index]]
            own = own.assign(target=own["budget"].astype(float)).sort_values("target")
            half = own[f"{name}_half_width"].fillna(0.0)
            axes.errorbar(own["target"], own[name], half, color=colour, marker="o", ms=4, lw=1.4,
                          capsize=2, label=str(data))  # fmt: skip
            for budget, line in ((PLAIN, "--"), (LONGER, ":")):
                for value in part.loc[part["budget"] == budget, name]:
                    axes.axhline(value, color=colour, ls=line, lw=1)
        if private.any():
            axes.set_xscale("log")
        if name == "frechet_distance":
            axes.set_yscale("log")
        axes.set_xlabel("target epsilon of each client", fontsize=9)
        axes.set_title(title, fontsize=10)
        tidy(axes)
    panels[0].legend(frameon=False, fontsize=9)
    return {"epsilon.png": figure}


STUDY = Study(
    module="experiments.privacy",
    about="Quality and bytes by epsilon.",
    home=Path(__file__).parent,
    cases=cases,
    tables=tables,
    page=page,
    figures=figures,
    choices={"data": tuple(PRESETS["default"])},
    add_options=lambda parser: parser.add_argument(
        "--epsilons", metavar="E,E", help="numbers, none, none_longer"
    ),
    digits=6,
    libraries=("torch", "numpy", "opacus"),
    shown=("epsilon", "frechet_distance", "payload_bytes", "nearest"),
)
main = STUDY.main

if __name__ == "__main__":
    sys.exit(main())
