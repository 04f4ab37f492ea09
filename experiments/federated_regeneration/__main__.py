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
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.federated_regeneration.results import RESULTS, write_results
from experiments.federated_regeneration.study import REGENERATIONS, run_pair
from experiments.study_command import called, run_command, whole_numbers, words
from flwr_gan.errors import ConfigError

FOLDER = Path("runs/federated_regeneration")
_PROGRAM = "python -m experiments.federated_regeneration"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not finished and write the results; return the exit status."""
    options = _parser().parse_args(arguments)
    command = called(_PROGRAM, arguments)
    logging.getLogger("flwr").setLevel(logging.ERROR)
    return run_command("federated_regeneration", lambda: _compare(options, command))


def _compare(options: argparse.Namespace, command: str) -> int:
    seeds = whole_numbers("--seeds", words(options.seeds or "0,1,2"))
    regenerations = words(options.regenerations) or REGENERATIONS
    for name in regenerations:
        if name not in REGENERATIONS:
            raise ConfigError(f"--regenerations {name}: choose from {', '.join(REGENERATIONS)}")
    for seed in () if options.report else seeds:
        for name in regenerations:
            for run in run_pair(seed, options.folder, options.overrides, regeneration=name):
                print(run, flush=True)
    partial = any((options.seeds, options.regenerations, options.overrides))
    own = options.folder / "results" if partial or options.folder != FOLDER else RESULTS
    results = options.results or own
    for path in write_results(seeds, regenerations, options.folder, results, command=command):
        print(path)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM, description="Tickets by RG-GAN against tickets by iterative pruning."
    )
    parser.add_argument("--seeds", metavar="N,N", help="default: 0,1,2")
    parser.add_argument("--regenerations", metavar="NAME,NAME", help=", ".join(REGENERATIONS))
    parser.add_argument("--folder", type=Path, default=FOLDER, help="default: %(default)s")
    parser.add_argument("--results", type=Path, help="of the tables")
    parser.add_argument("--report", action="store_true", help="train nothing")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    return parser


if __name__ == "__main__":
    sys.exit(main())
