"""Quality, bytes and membership inference against epsilon, on clients with uneven data.

::

    python -m experiments.privacy                 # all that is committed here
    python -m experiments.privacy --short         # seconds; results in runs/
    python -m experiments.privacy --report        # tables and picture alone
    python -m experiments.privacy --data digits --epsilons none,10 --seeds 3,4

A finished run is never done again; the same command goes on where it was stopped.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.privacy.results import RESULTS, write_results
from experiments.privacy.setting import Case, grid
from experiments.privacy.study import run_cases
from experiments.study_command import (
    add_places,
    add_presets,
    called,
    places,
    run_study,
    whole_numbers,
    words,
)

FOLDER = Path("runs/privacy")
_PROGRAM = "python -m experiments.privacy"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not finished and write the results; return the exit status."""
    options = _parser().parse_args(arguments)
    partial = any((options.seeds, options.data, options.epsilons, options.folder))
    folder, results = places(options, FOLDER, RESULTS, partial=partial)
    command = called(_PROGRAM, arguments)
    logging.getLogger("flwr").setLevel(logging.ERROR)
    return run_study(
        "privacy",
        options,
        _cases,
        run=lambda cases: run_cases(cases, folder),
        write=lambda cases: write_results(cases, folder, results, command=command),
    )


def _cases(options: argparse.Namespace) -> list[Case]:
    given = options.seeds or ("0" if options.preset == "short" else "0,1,2")
    seeds = whole_numbers("--seeds", words(given))
    data, epsilons = words(options.data), words(options.epsilons)
    return list(grid(options.preset, seeds=seeds, data=data, epsilons=epsilons))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=_PROGRAM, description="Quality and bytes by epsilon.")
    add_presets(parser)
    parser.add_argument("--seeds", metavar="N,N", help="default: 0,1,2")
    parser.add_argument("--data", metavar="NAME,NAME", help="digits, pendigits")
    parser.add_argument("--epsilons", metavar="E,E", help="numbers, none, none_longer")
    add_places(parser, FOLDER, shown="tables and picture", verb="run")
    return parser


if __name__ == "__main__":
    sys.exit(main())
