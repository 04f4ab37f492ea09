"""The continual preset, and the same without replay, regeneration, dense phases or silence.

::

    python -m experiments.continual                 # all that is committed here
    python -m experiments.continual --short         # seconds; results in runs/
    python -m experiments.continual --report        # tables and picture alone
    python -m experiments.continual --ways "as the preset,no replay" --seeds 3,4
    python -m experiments.continual data=pendigits  # settings of all ways; results in runs/

A finished run is never done again; the same command goes on where it was stopped.
"""

import argparse
import sys
from pathlib import Path

from experiments.continual.cases import SHORT, WAYS, Case
from experiments.continual.results import figures, page, tables
from experiments.study.command import Study


def cases(options: argparse.Namespace) -> list[Case]:
    """Return the runs, seed after seed."""
    short = SHORT.split() if options.preset == "short" else []
    overrides = (*short, *options.overrides)
    return [
        Case(way=way, seed=seed, overrides=overrides)
        for seed in options.seeds
        for way in options.ways
    ]


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
