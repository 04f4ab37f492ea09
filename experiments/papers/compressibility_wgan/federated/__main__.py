"""Does sending pruned generators serve federated learning: one shot, and many rounds.

::

    python -m experiments.papers.compressibility_wgan.federated              # all of it
    python -m experiments.papers.compressibility_wgan.federated --short      # seconds
    python -m experiments.papers.compressibility_wgan.federated --no-runs    # tables and pictures

The same command continues after an interruption: finished cases are not repeated, failed ones are.
"""

import argparse
import sys
from pathlib import Path

from experiments.papers.compressibility_wgan.federated.many_rounds import RoundsCase
from experiments.papers.compressibility_wgan.federated.one_shot import LongerCase, PoolCase
from experiments.papers.compressibility_wgan.federated.pictures import figures
from experiments.papers.compressibility_wgan.federated.plan import FULL, SHORT, Plan
from experiments.papers.compressibility_wgan.federated.results import page, tables
from experiments.study.cases import StudyCase
from experiments.study.command import Study


def cases(options: argparse.Namespace) -> list[StudyCase]:
    """Return the cases of the whole or the short study that have one of the seeds."""
    plan = SHORT if options.preset == "short" else FULL
    return [case for case in all_cases(plan) if case.place["seed"] in options.seeds]


def all_cases(plan: Plan) -> list[StudyCase]:
    """Return the cases in the order of the runs: the longest ones come late."""
    pools = [PoolCase(plan, k, partition) for k in plan.clients for partition in plan.partitions]
    runs = [
        RoundsCase(plan, data, seed, *pair)
        for data, seeds in plan.rounds_seeds.items()
        for seed in seeds
        for pair in plan.wires[data]
    ]
    longer = [
        LongerCase(plan, plan.clients[0], plan.partitions[0], iterations=count)
        for count in plan.longer
    ]
    last = [case for case in pools if case.clients == plan.clients[-1]]
    others = [run for run in runs if run.data != next(iter(plan.rounds_seeds))]
    return [
        *(case for case in pools if case not in last),
        *longer,
        *(run for run in runs if run not in others),
        *last,
        *others,
    ]


STUDY = Study(
    module="experiments.papers.compressibility_wgan.federated",
    about="Does sending pruned generators serve federated learning?",
    home=Path(__file__).parent,
    cases=cases,
    tables=tables,
    page=page,
    figures=figures,
    short="a tiny version, on embedded digits",
    add_options=lambda parser: parser.add_argument(
        "--no-runs", dest="report", action="store_true", help="as --report"
    ),
    results=Path(__file__).parents[1] / "results" / "federated",
    pages=("FEDERATED.md",),
    libraries=("flwr", "torch", "numpy", "scikit-learn", "zstandard"),
)
main = STUDY.main

if __name__ == "__main__":
    sys.exit(main())
