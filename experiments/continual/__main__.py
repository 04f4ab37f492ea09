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
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.continual.results import RESULTS, write_results
from experiments.continual.study import SHORT, WAYS, Case, grid, run_cases
from experiments.study_command import (
    add_places,
    add_presets,
    called,
    places,
    run_study,
    whole_numbers,
    words,
)

FOLDER = Path("runs/continual")
_PROGRAM = "python -m experiments.continual"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not finished and write the results; return the exit status."""
    options = _parser().parse_args(arguments)
    partial = any((options.seeds, options.ways, options.overrides, options.folder))
    folder, results = places(options, FOLDER, RESULTS, partial=partial)
    command = called(_PROGRAM, arguments)
    logging.getLogger("flwr").setLevel(logging.ERROR)
    return run_study(
        "continual",
        options,
        _cases,
        run=lambda cases: run_cases(cases, folder),
        write=lambda cases: write_results(cases, folder, results, command=command),
    )


def _cases(options: argparse.Namespace) -> list[Case]:
    short = options.preset == "short"
    seeds = whole_numbers("--seeds", words(options.seeds or ("0" if short else "0,1,2")))
    overrides = [*(SHORT.split() if short else []), *options.overrides]
    return list(grid(words(options.ways), seeds, overrides))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM, description="Continual learning, as the preset and without its parts."
    )
    add_presets(parser)
    parser.add_argument("--seeds", metavar="N,N", help="default: 0,1,2")
    parser.add_argument("--ways", metavar="NAME,NAME", help=", ".join(WAYS))
    add_places(parser, FOLDER, shown="tables and picture", verb="run")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings of all ways")
    return parser


if __name__ == "__main__":
    sys.exit(main())
