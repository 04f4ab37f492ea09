"""Paper 001: pruning, quantisation, distillation and their combinations in federated learning.

::

    python -m experiments.papers.fl_compression_comparison            # all that is committed here
    python -m experiments.papers.fl_compression_comparison --short    # seconds; results in runs/
    python -m experiments.papers.fl_compression_comparison --report   # only tables and figures

A finished run is never repeated; the same command continues after an interruption.
"""

import argparse
import sys
from pathlib import Path

from experiments.papers.fl_compression_comparison.cases import Case, controls, grid
from experiments.papers.fl_compression_comparison.pictures import figures
from experiments.papers.fl_compression_comparison.results import facts, page, tables
from experiments.papers.fl_compression_comparison.runs import prepared
from experiments.papers.fl_compression_comparison.setting import (
    ALGORITHMS,
    METHODS,
    Hyperparameters,
)
from experiments.study.command import Study
from flwr_gan.errors import ConfigError

SHORT = {"num_rounds": 2, "num_samples": 600, "teacher_passes": 1}


def cases(options: argparse.Namespace) -> list[Case]:
    """Return the runs, after a check of all settings and of the data."""
    if not options.link_mbit > 0:
        raise ConfigError(f"--link-mbit {options.link_mbit} is not allowed: give more than 0")
    sizes = dict(SHORT) if options.preset == "short" else {}
    given = {"num_rounds": options.rounds, "num_samples": options.samples}
    sizes |= {name: value for name, value in given.items() if value is not None}
    settings = {"hyperparameters": Hyperparameters(**sizes), "link_mbit": options.link_mbit}
    chosen = [
        *grid(
            partitions=options.partitions, algorithms=options.algorithms,
            methods=options.methods, seeds=options.seeds, **settings,
        ),
        *(controls(seeds=options.seeds, **settings) if options.controls else ()),
    ]  # fmt: skip
    # Seed by seed, so that finished seeds are complete; the longest runs come last.
    longest = 2 * settings["hyperparameters"].num_rounds
    chosen.sort(key=lambda case: (case.passes > longest, case.seed))
    if not options.report:
        prepared(chosen[0])  # check data and split
    return chosen


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add sizes, controls and the speed of the link."""
    parser.add_argument("--rounds", type=int, metavar="N", help="default: 20, as in the paper")
    parser.add_argument("--samples", type=int, metavar="N", help="training samples; default: all")
    parser.add_argument("--no-controls", dest="controls", action="store_false")
    parser.add_argument(
        "--link-mbit", type=float, default=10.0, metavar="MBIT",
        help="of a client, each way, for the computed transfer time; default: 10",
    )  # fmt: skip


STUDY = Study(
    module="experiments.papers.fl_compression_comparison",
    about="Paper 001: eight ways to compress, measured on the wire.",
    home=Path(__file__).parent,
    cases=cases,
    tables=tables,
    page=page,
    figures=figures,
    facts=facts,
    choices={
        "partitions": ("iid", "dirichlet"),
        "algorithms": ALGORITHMS,
        "methods": tuple(method.name for method in METHODS),
    },
    short="600 samples, 2 rounds, one seed; to try it",
    add_options=add_options,
    libraries=("flwr", "flwr-datasets", "torch", "numpy", "scipy", "pandas"),
    shown=("test_accuracy", "train_accuracy"),
)
main = STUDY.main

if __name__ == "__main__":
    sys.exit(main())
