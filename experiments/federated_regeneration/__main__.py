"""Tickets by RG-GAN against tickets by iterative pruning, at equal bytes and equal compute.

::

    python -m experiments.federated_regeneration                # three seeds, minutes each
    python -m experiments.federated_regeneration --seeds 3,4
    python -m experiments.federated_regeneration --report       # the tables alone
    python -m experiments.federated_regeneration partition=iid data=pendigits

What stands behind the options are settings of both ways. A finished run is never done again; the
same command goes on where it was stopped.
"""

import argparse
import sys
from pathlib import Path

from experiments.federated_regeneration.cases import REGENERATIONS, Case
from experiments.federated_regeneration.results import page, tables
from experiments.study.command import Study


def cases(options: argparse.Namespace) -> list[Case]:
    """Return the pairs of runs, seed after seed."""
    return [
        Case(regeneration=name, seed=seed, overrides=tuple(options.overrides))
        for seed in options.seeds
        for name in options.regenerations
    ]


STUDY = Study(
    module="experiments.federated_regeneration",
    about="Tickets by RG-GAN against tickets by iterative pruning.",
    home=Path(__file__).parent,
    cases=cases,
    tables=tables,
    page=page,
    choices={"regenerations": REGENERATIONS},
    short="",
    overrides="settings of both ways",
    libraries=("torch", "numpy", "flwr"),
)
main = STUDY.main

if __name__ == "__main__":
    sys.exit(main())
