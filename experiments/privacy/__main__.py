"""Quality, bytes and membership inference against epsilon, on clients with uneven data.

::

    python -m experiments.privacy                 # all that is committed here
    python -m experiments.privacy --short         # seconds; results in runs/
    python -m experiments.privacy --report        # tables and picture alone
    python -m experiments.privacy --data digits --epsilons none,10 --seeds 3,4

A finished run is never done again; the same command goes on where it was stopped.
"""

import argparse
import sys
from pathlib import Path

from experiments.privacy.cases import PRESETS, Case, check_budget
from experiments.privacy.results import figures, page, tables
from experiments.study.command import Study
from experiments.study.options import words


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


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the option of the budgets."""
    parser.add_argument("--epsilons", metavar="E,E", help="numbers, none, none_longer")


STUDY = Study(
    module="experiments.privacy",
    about="Quality and bytes by epsilon.",
    home=Path(__file__).parent,
    cases=cases,
    tables=tables,
    page=page,
    figures=figures,
    choices={"data": tuple(PRESETS["default"])},
    add_options=add_options,
    digits=6,
    libraries=("torch", "numpy", "opacus"),
    shown=("epsilon", "frechet_distance", "payload_bytes", "nearest"),
)
main = STUDY.main

if __name__ == "__main__":
    sys.exit(main())
