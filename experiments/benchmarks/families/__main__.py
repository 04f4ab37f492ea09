"""Every family of compression on the same trained generators, with the same measures.

::

    python -m experiments.benchmarks.families              # all that is committed here
    python -m experiments.benchmarks.families --short      # a minute; results in runs/
    python -m experiments.benchmarks.families --only int8 prune90 --data digits --seeds 0
    python -m experiments.benchmarks.families --report     # only tables and pictures

A finished case is never repeated; the same command continues after an interruption.
"""

import argparse
import sys
from pathlib import Path

from experiments.benchmarks.families.cases import Case
from experiments.benchmarks.families.entries import ENTRIES, read_entries
from experiments.benchmarks.families.material import NAMES, materials
from experiments.benchmarks.families.pictures import figures
from experiments.benchmarks.families.results import facts, page, tables
from experiments.study.command import Study
from experiments.study.options import words


def cases(options: argparse.Namespace) -> list[Case]:
    """Return the cases, seed after seed, so that finished seeds are complete."""
    entries = read_entries(options.entries, only=words(options.only))
    return [
        Case(entry, material, seed)
        for seed in options.seeds
        for material in materials(options.data, short=options.preset == "short")
        for entry in entries
    ]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the choice of entries."""
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these entries alone")
    parser.add_argument("--entries", type=Path, default=ENTRIES, metavar="FOLDER",
                        help="one file per entry; default: those beside the program")  # fmt: skip


STUDY = Study(
    module="experiments.benchmarks.families",
    about="All families of compression side by side.",
    home=Path(__file__).parent,
    cases=cases,
    tables=tables,
    page=page,
    figures=figures,
    facts=facts,
    choices={"data": NAMES},
    short="hardly any training, one seed; to try it",
    add_options=add_options,
    digits=6,
    libraries=("torch", "numpy", "scipy", "scikit-learn", "pandas"),
    shown=("payload_bytes", "frechet_distance"),
)
main = STUDY.main

if __name__ == "__main__":
    sys.exit(main())
