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
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.federated_regeneration.cases import QUALITY, REGENERATIONS, Case
from experiments.study.cases import Record, all_rows
from experiments.study.command import Study
from experiments.study.markdown import Columns, page_table
from experiments.study.results import description
from experiments.study.statistics import average, differences

_QUALITY = tuple(
    zip(
        ("Fréchet distance", "conditional accuracy", "synthetic accuracy", "coverage"),
        [(name, 3) for name in QUALITY],
        strict=True,
    )
)


def cases(options: argparse.Namespace) -> list[Case]:
    """Return the pairs of runs, seed after seed."""
    return [
        Case(regeneration=name, seed=seed, overrides=tuple(options.overrides))
        for seed in options.seeds
        for name in options.regenerations
    ]


def tables(records: Sequence[Record]) -> dict[str, pd.DataFrame]:
    """Return a row a run, and means over seeds."""
    runs = all_rows(records, "ways")
    measured = ["sparsity", "payload_up_bytes", *QUALITY, "wall_s"]
    runs = runs[["regeneration", "way", "seed", *measured]]
    return {"runs.csv": runs, "summary.csv": average(runs, ["regeneration", "way"], measured)}


def page(tables: Mapping[str, pd.DataFrame], run: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each marker of the page; differences are those to iterative pruning."""
    ways: Columns = [
        ("regeneration", "regeneration"), ("tickets by", "way"), ("seeds", "seeds"),
        ("pruned, %", ("sparsity", 1, 0.01)), ("uploads, kB", ("payload_up_bytes", 0, 1000)),
        *_QUALITY,
    ]  # fmt: skip
    changes: Columns = [("regeneration", "regeneration"), ("pairs", "seeds"),
               ("uploads, %", ("more_bytes", 1, 0.01)), *_QUALITY]  # fmt: skip
    runs = tables["runs.csv"]
    pair = ["regeneration", "seed"]
    iterative = runs["way"] == "iterative"
    other = runs[iterative].set_index(pair)["payload_up_bytes"]
    places = pd.MultiIndex.from_frame(runs[pair])
    runs = runs.assign(more_bytes=runs["payload_up_bytes"] / other.reindex(places).to_numpy())
    found = differences(
        runs, iterative, groups=["regeneration"], pair=pair, measures=["more_bytes", *QUALITY]
    )
    return {
        "ways": page_table(tables["summary.csv"], ways),
        "differences": page_table(found, changes, sign="+"),
        "run": description(run),
    }


STUDY = Study(
    module="experiments.federated_regeneration",
    about="Tickets by RG-GAN against tickets by iterative pruning.",
    home=Path(__file__).parent,
    cases=cases,
    tables=tables,
    page=page,
    choices={"regenerations": REGENERATIONS},
    short="",
    overrides="settings of both ways",
    libraries=("torch", "numpy", "flwr"),
)
main = STUDY.main

if __name__ == "__main__":
    sys.exit(main())
