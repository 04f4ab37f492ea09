"""Paper 000 on one client: dense generator and tickets trained for longer than their search.

::

    python -m experiments.papers.compressibility_wgan.longer            # all that is committed
    python -m experiments.papers.compressibility_wgan.longer --short    # a minute; in runs/
    python -m experiments.papers.compressibility_wgan.longer --report   # only the table

Every generator is kept as it comes; the same command continues after an interruption.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.papers.compressibility_wgan.longer.cases import CODECS, LongerCase
from experiments.papers.compressibility_wgan.pages import NAMES, difference
from experiments.papers.compressibility_wgan.statistics import (
    MARGINS,
    judge_not_worse,
    passing_levels,
    summarise,
)
from experiments.study.cases import Record, all_rows
from experiments.study.command import Study
from experiments.study.markdown import Cell, Columns, cell, page_table
from experiments.study.options import words
from experiments.study.results import description
from experiments.study.statistics import where

ITERATIONS = 16_000
SHORT = (
    "gan.iterations=2", "gan.channels=[8,8]", "gan.critic_hidden=[8,8]", "gan.batch_size=8",
    "gan.critic_iterations=1", "lottery.iterations=5", "lottery.min_kept_per_layer=8",
)  # fmt: skip


def cases(options: argparse.Namespace) -> list[LongerCase]:
    """Return one case for each data set and seed."""
    short = options.preset == "short"
    overrides = ("experiment=paper_scaled", *(SHORT if short else ()), *options.overrides)
    iterations = 4 if short else options.iterations
    return [
        LongerCase(data=data, seed=seed, iterations=iterations, overrides=overrides)
        for seed in options.seeds
        for data in words(options.data)
    ]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add data and length."""
    parser.add_argument("--data", default="pendigits", metavar="NAME,NAME", help="%(default)s")
    parser.add_argument(
        "--iterations", type=int, default=ITERATIONS, metavar="N",
        help="generator iterations of a long training; default: %(default)s",
    )  # fmt: skip


def tables(records: Sequence[Record]) -> dict[str, pd.DataFrame]:
    """Return one row per score, verdicts against the dense generator, and means over seeds."""
    quality = all_rows(records, "quality").assign(scope="global")
    sizes = all_rows(records, "sizes").groupby(["data", "level"], sort=False)
    means = sizes[["sparsity", *CODECS]].mean().reset_index()
    chosen = quality[quality["codec"] == "sparse"]
    summary = summarise(chosen).merge(means, on=["data", "level"], how="left")
    halves = [name for name in map(str, summary) if name.endswith("_half_width")]
    summary.loc[summary["kind"] == "real", halves] = float("nan")  # the same in all seeds
    return {
        "quality.csv": quality,
        "not_worse.csv": judge_not_worse(quality),
        "summary.csv": summary.assign(iterations=records[0].case.iterations),
    }


def page(tables: Mapping[str, pd.DataFrame], run: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each marker of the page."""
    verdicts = where(tables["not_worse.csv"], kind="retrained", codec="sparse")
    columns: Columns = [
        ("data", "data"),
        ("P", lambda row: "real" if row["kind"] == "real" else f"{row['level']:.0f}"),
        ("pruned, %", lambda row: _unless_real(row, ("sparsity", 1, 0.01))),
        *((NAMES[name], (name, 3)) for name in NAMES),
        *((f"{NAMES[name]}, against dense", _difference(verdicts, name)) for name in MARGINS),
        ("not worse", _passes(verdicts)),
        *((f"`{codec}`", lambda row, c=codec: _unless_real(row, (c, 1))) for codec in CODECS),
    ]  # fmt: skip
    return {"longer": page_table(tables["summary.csv"], columns), "longer run": description(run)}


def _unless_real(row: Any, spec: Cell) -> str:
    return "" if row["kind"] == "real" else cell(row, spec)


def _difference(verdicts: pd.DataFrame, measure: str) -> Cell:
    def text(row: Any) -> str:
        found = where(verdicts, data=row["data"], level=row["level"], measure=measure)
        if row["kind"] == "real" or row["level"] == 0 or not len(found):
            return ""
        return difference(found.iloc[0])

    return text


def _passes(verdicts: pd.DataFrame) -> Cell:
    def text(row: Any) -> str:
        if row["kind"] == "real" or row["level"] == 0:
            return ""
        passing = passing_levels(where(verdicts, data=row["data"]))
        return "yes" if row["level"] in passing else "not shown"

    return text


STUDY = Study(
    module="experiments.papers.compressibility_wgan.longer",
    about="Dense generator and tickets trained for longer than their search.",
    home=Path(__file__).parents[1],
    results=Path(__file__).parents[1] / "results" / "longer",
    cases=cases,
    tables=tables,
    page=page,
    short="a minute; to try it",
    seeds=range(3),
    overrides="settings of conf/",
    add_options=add_options,
    workers=os.cpu_count() or 1,
    libraries=("torch", "numpy", "scikit-learn", "scipy"),
)
main = STUDY.main

if __name__ == "__main__":
    sys.exit(main())
