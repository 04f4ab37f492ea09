"""Quality against bytes of compressed updates, compared with plain Flower and others.

::

    python -m experiments.benchmarks.updates            # all that is committed here
    python -m experiments.benchmarks.updates --short    # seconds; results in runs/
    python -m experiments.benchmarks.updates --report   # only tables and picture
    python -m experiments.benchmarks.updates --cost     # seconds of encoding
    python -m experiments.benchmarks.updates --task gan_digits,classifier --seeds 0,1

A finished run is never repeated; the same command continues after an interruption.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.benchmarks.output import RESULTS
from experiments.benchmarks.updates.cases import TASKS
from experiments.benchmarks.updates.cost import write_costs
from experiments.benchmarks.updates.results import figures, page, tables
from experiments.benchmarks.updates.runs import Case, all_cases
from experiments.study.command import Study
from experiments.study.options import called, run_command


def cases(options: argparse.Namespace) -> list[Case]:
    """Return the runs, seed after seed."""
    return list(all_cases(options.preset, seeds=options.seeds, tasks=options.task))


STUDY = Study(
    module="experiments.benchmarks.updates",
    about="Quality against bytes of updates.",
    home=Path(__file__).parent,
    cases=cases,
    tables=tables,
    page=page,
    figures=figures,
    choices={"task": tuple(TASKS)},
    add_options=lambda parser: parser.add_argument(
        "--cost", action="store_true", help="measure the cost of encoding instead"
    ),
    results=RESULTS,
    record="updates.json",
    libraries=("torch", "numpy", "flwr"),
    shown=("quality", "megabytes"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study, or with ``--cost`` measure encoding; return the exit status."""
    options = STUDY.parser().parse_args(arguments)
    if not options.cost:
        return STUDY.main(arguments)
    command = called(f"python -m {STUDY.module}", arguments)
    short, results = options.preset == "short", STUDY.places(options)[1]
    page = STUDY.home / "README.md"
    return run_command(STUDY.name, lambda: write_costs(results, page, short=short, command=command))


if __name__ == "__main__":
    sys.exit(main())
