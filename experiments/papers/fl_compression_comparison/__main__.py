"""Paper 001: pruning, quantisation, distillation and their combinations in federated learning.

::

    python -m experiments.papers.fl_compression_comparison            # all that is committed here
    python -m experiments.papers.fl_compression_comparison --short    # seconds; results in runs/
    python -m experiments.papers.fl_compression_comparison --report   # tables and figures alone

A finished run is never done again; the same command goes on where it was stopped.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.papers.fl_compression_comparison.results import RESULTS, write_results
from experiments.papers.fl_compression_comparison.setting import (
    ALGORITHMS,
    METHODS,
    Case,
    Hyperparameters,
    controls,
    grid,
)
from experiments.papers.fl_compression_comparison.study import run_cases, work
from experiments.papers.fl_compression_comparison.task import make_task
from experiments.study_command import (
    add_places,
    add_presets,
    called,
    places,
    run_study,
    whole_numbers,
    words,
)
from flwr_gan.errors import ConfigError

FOLDER = Path("runs/fl_compression_comparison")
SHORT = {"num_rounds": 2, "num_samples": 600, "teacher_passes": 1}
_PROGRAM = "python -m experiments.papers.fl_compression_comparison"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not finished and write the results; return the exit status."""
    options = _parser().parse_args(arguments)
    logging.getLogger("flwr").setLevel(logging.ERROR)
    folder, results = places(options, FOLDER, RESULTS)
    command = called(_PROGRAM, arguments)
    return run_study(
        "fl_compression_comparison",
        options,
        _cases,
        run=lambda cases: run_cases(cases, folder),
        write=lambda cases: write_results(
            cases, folder, results, command=command, link_mbit=options.link_mbit
        ),
    )


def _cases(options: argparse.Namespace) -> list[Case]:
    """Return the runs, after a check of all settings and of the data."""
    if not options.link_mbit > 0:
        raise ConfigError(f"--link-mbit {options.link_mbit} is not allowed: give more than 0")
    short = options.preset == "short"
    seeds = whole_numbers("--seeds", options.seeds)
    settings = dict(SHORT) if short else {}
    given = {"num_rounds": options.rounds, "num_samples": options.samples}
    settings |= {name: value for name, value in given.items() if value is not None}
    hyperparameters = Hyperparameters(**settings)
    seeds = seeds[:1] if short else seeds
    algorithms = options.algorithms or (ALGORITHMS[:1] if short else ALGORITHMS)
    cases = list(
        grid(
            partitions=options.partitions, algorithms=algorithms, methods=options.methods,
            seeds=seeds, hyperparameters=hyperparameters,
        )
    )  # fmt: skip
    if options.controls:
        cases += controls(seeds=seeds, hyperparameters=hyperparameters)
    # Seed after seed, so that what is finished early is complete; the longest runs come last.
    cases.sort(key=lambda case: (work(case) > 2 * hyperparameters.num_rounds, case.seed))
    if not options.report:
        make_task(cases[0])  # data and split are there
    return cases


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM, description="Paper 001: eight ways to compress, measured on the wire."
    )
    names = tuple(method.name for method in METHODS)
    parser.add_argument("--seeds", type=words, default=("0", "1", "2"), metavar="N,N")
    parser.add_argument(
        "--partitions", type=words, default=("iid", "dirichlet"), metavar="NAME,NAME"
    )
    parser.add_argument("--algorithms", type=words, metavar="NAME,NAME")
    parser.add_argument(
        "--methods", type=words, default=names, metavar="NAME,NAME", help=", ".join(names)
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="default: 20, as in the paper")
    parser.add_argument("--samples", type=int, metavar="N", help="training samples; default: all")
    parser.add_argument("--no-controls", dest="controls", action="store_false")
    parser.add_argument(
        "--link-mbit", type=float, default=10.0, metavar="MBIT",
        help="of a client, each way, for the computed transfer time; default: 10",
    )  # fmt: skip
    add_places(parser, FOLDER, shown="tables and figures", verb="train")
    add_presets(parser, short="600 samples, 2 rounds, one seed, FedAvg; to try it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
