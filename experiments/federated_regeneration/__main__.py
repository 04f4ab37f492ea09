"""Tickets by RG-GAN against tickets by pruning only, at equal bytes and equal compute.

::

    python -m experiments.federated_regeneration                # five seeds
    python -m experiments.federated_regeneration --seeds 3,4
    python -m experiments.federated_regeneration --report       # only the tables
    python -m experiments.federated_regeneration partition=iid data=pendigits

Further arguments are settings of all ways. A finished run is never repeated; the same command
continues after an interruption.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.federated_regeneration.cases import QUALITY, REGENERATIONS, WAYS, Case
from experiments.study.cases import Record, all_rows
from experiments.study.command import Study
from experiments.study.markdown import Columns, page_table
from experiments.study.results import description
from experiments.study.statistics import average, differences, intervals

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
    """Return one row per run, means over seeds, and differences of the ways."""
    runs = all_rows(records, "ways")
    measured = ["sparsity", "payload_up_bytes", *QUALITY, "wall_s"]
    runs = runs[["regeneration", "way", "seed", *measured]]
    return {
        "runs.csv": runs,
        "summary.csv": average(runs, ["regeneration", "way"], measured),
        "differences.csv": to_other_ways(runs),
    }


def to_other_ways(runs: pd.DataFrame) -> pd.DataFrame:
    """Return regeneration minus each other way, paired by seed.

    All intervals of qualities hold together with 95 % (Bonferroni over settings, ways, measures).
    """

    def more_bytes(own: pd.DataFrame, base: pd.DataFrame) -> dict[str, float]:
        ratio = own["payload_up_bytes"] / base["payload_up_bytes"] - 1
        return intervals(ratio.to_frame("more_bytes"), comparisons=comparisons)

    found = []
    comparisons = len(QUALITY) * runs["regeneration"].nunique() * (runs["way"].nunique() - 1)
    for way in [way for way in WAYS[1:] if way in set(runs["way"])]:
        two = runs[runs["way"].isin([WAYS[0], way])]
        rows = differences(
            two, two["way"] == way, groups=["regeneration"], pair=["regeneration", "seed"],
            measures=QUALITY, comparisons=comparisons, more=more_bytes,
        )  # fmt: skip
        found.append(rows.assign(way=way))
    return pd.concat(found)


def page(tables: Mapping[str, pd.DataFrame], run: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each marker of the page."""
    ways: Columns = [
        ("regeneration", "regeneration"), ("tickets by", "way"), ("seeds", "seeds"),
        ("pruned, %", ("sparsity", 1, 0.01)), ("uploads, kB", ("payload_up_bytes", 0, 1000)),
        *_QUALITY,
    ]  # fmt: skip
    changes: Columns = [
        ("regeneration", "regeneration"), ("against", "way"), ("pairs", "seeds"),
        ("uploads, %", ("more_bytes", 1, 0.01)), *_QUALITY,
    ]  # fmt: skip
    return {
        "ways": page_table(tables["summary.csv"], ways),
        "differences": page_table(tables["differences.csv"], changes, sign="+"),
        "run": description(run),
    }


STUDY = Study(
    module="experiments.federated_regeneration",
    about="Tickets by RG-GAN against tickets by pruning alone.",
    home=Path(__file__).parent,
    cases=cases,
    tables=tables,
    page=page,
    choices={"regenerations": REGENERATIONS},
    seeds=range(5),
    short="",
    overrides="settings of all ways",
    libraries=("torch", "numpy", "flwr"),
)
main = STUDY.main

if __name__ == "__main__":
    sys.exit(main())
