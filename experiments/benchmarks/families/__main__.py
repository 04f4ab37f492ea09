"""Every family of compression on the same trained generators, with the same measures.

::

    python -m experiments.benchmarks.families              # all that is committed here
    python -m experiments.benchmarks.families --short      # a minute; results in runs/
    python -m experiments.benchmarks.families --only int8 prune90 --data digits --seeds 0
    python -m experiments.benchmarks.families --report     # tables and pictures alone

A finished cell is never done again; the same command goes on where it was stopped.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.benchmarks.families.entries import ENTRIES, read_entries
from experiments.benchmarks.families.material import NAMES, materials
from experiments.benchmarks.families.results import RESULTS, write_results
from experiments.benchmarks.families.study import Plan, run_plan
from experiments.study_command import run_study
from flwr_gan.errors import ConfigError

FOLDER = Path("runs/families")
SHORT_FOLDER = Path("runs/families_short")
_PROGRAM = "python -m experiments.benchmarks.families"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not finished and write the results; return the exit status."""
    options = _parser().parse_args(arguments)
    folder = options.folder or (SHORT_FOLDER if options.short else FOLDER)
    partial = options.short or options.only or options.data != list(NAMES)
    output = options.output or (folder / "results" / "rows.csv" if partial else RESULTS)
    return run_study(
        "families",
        options,
        make_plan,
        run=lambda plan: run_plan(plan, folder),
        write=lambda plan: write_results(plan, folder, output, command=_command(options)),
        failures="cells failed; see above",
    )


def make_plan(options: argparse.Namespace) -> Plan:
    """Return the cells that the options ask for, all settings checked.

    Raises
    ------
    ConfigError, CodecError
        Naming the setting that is wrong.
    """
    seeds = options.seeds if options.seeds is not None else ([0] if options.short else [0, 1, 2])
    for what, values in (("--seeds", seeds), ("--data", options.data), ("--only", options.only)):
        if len(set(values)) < len(values):
            raise ConfigError(f"{what} names something twice: name each once")
    if min(seeds) < 0:
        raise ConfigError(f"--seeds {min(seeds)} is not allowed: give whole numbers from 0")
    return Plan(
        read_entries(options.entries, only=tuple(options.only)),
        materials(tuple(options.data), short=options.short),
        seeds,
    )


def _command(options: argparse.Namespace) -> str:
    """Return the command that makes these cells, wherever they are kept."""
    words = [_PROGRAM]
    if options.only:
        words += ["--only", *options.only]
    if options.data != list(NAMES):
        words += ["--data", *options.data]
    if options.seeds is not None:
        words += ["--seeds", *map(str, options.seeds)]
    return " ".join([*words, *(["--short"] if options.short else [])])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM, description="All families of compression side by side."
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these entries alone")
    parser.add_argument("--data", nargs="+", default=list(NAMES), metavar="NAME",
                        help=f"of {', '.join(NAMES)}")  # fmt: skip
    parser.add_argument("--seeds", nargs="+", type=int, metavar="N", help="default: 0 1 2")
    parser.add_argument("--folder", type=Path, help=f"of the run; default: {FOLDER}")
    parser.add_argument("--output", type=Path, metavar="FILE", help="table with a row a cell")
    parser.add_argument("--entries", type=Path, default=ENTRIES, metavar="FOLDER",
                        help="one file an entry; default: those beside the program")  # fmt: skip
    parser.add_argument("--report", action="store_true", help="train nothing, write the results")
    parser.add_argument("--short", action="store_true",
                        help="hardly any training, one seed; to try it")  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
