"""Quality against bytes of compressed updates, beside plain Flower and other ways to code them.

::

    python -m experiments.benchmarks.updates            # all that is committed here
    python -m experiments.benchmarks.updates --short    # seconds; results in runs/
    python -m experiments.benchmarks.updates --report   # tables and picture alone
    python -m experiments.benchmarks.updates --cost     # what encoding takes
    python -m experiments.benchmarks.updates --task gan_digits,classifier --seeds 0,1

A finished run is never done again; the same command goes on where it was stopped.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.benchmarks.output import RESULTS
from experiments.benchmarks.updates.cases import Case
from experiments.benchmarks.updates.compared import TASKS, all_cases
from experiments.benchmarks.updates.results import write_costs, write_results
from experiments.benchmarks.updates.study import run_cases
from experiments.study_command import (
    add_places,
    add_presets,
    called,
    places,
    run_command,
    run_study,
    whole_numbers,
    words,
)

FOLDER = Path("runs/updates")
_PROGRAM = "python -m experiments.benchmarks.updates"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not finished and write the results; return the exit status."""
    options = _parser().parse_args(arguments)
    partial = any((options.task, options.seeds, options.folder))
    folder, results = places(options, FOLDER, RESULTS, partial=partial)
    command = called(_PROGRAM, arguments)
    logging.getLogger("flwr").setLevel(logging.ERROR)
    if options.cost:
        return run_command("updates", lambda: _cost(options.preset == "short", results, command))
    return run_study(
        "updates",
        options,
        _cases,
        run=lambda cases: run_cases(cases, folder),
        write=lambda cases: write_results(cases, folder, results, command=command),
    )


def _cases(options: argparse.Namespace) -> list[Case]:
    given = options.seeds or ("0" if options.preset == "short" else "0,1,2")
    seeds = whole_numbers("--seeds", words(given))
    return list(all_cases(options.preset, seeds=seeds, tasks=words(options.task)))


def _cost(short: bool, results: Path, command: str) -> int:
    for path in write_costs(results, short=short, command=command):
        print(path)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=_PROGRAM, description="Quality against bytes of updates.")
    add_presets(parser)
    parser.add_argument("--task", metavar="NAME,NAME", help=", ".join(TASKS))
    parser.add_argument("--seeds", metavar="N,N", help="default: 0,1,2")
    parser.add_argument("--cost", action="store_true", help="measure what encoding takes instead")
    add_places(parser, FOLDER, shown="tables and picture", verb="run")
    return parser


if __name__ == "__main__":
    sys.exit(main())
