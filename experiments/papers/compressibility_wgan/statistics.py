"""Intervals and verdicts from rows of single seeds.

The comparison was fixed before the first run: five paired seeds, 95 % t intervals of the paired
differences, and the margins below. A generator is *not worse* than the dense one if the lower
limit of its difference is above minus the margin, in each of three measures: fidelity, diversity
and usefulness. There is no correction for several P; the verdict "up to P" requires that every
level up to P passes. With five seeds many levels stayed undecided, so two analyses were added after
the first results and are marked as such: the levels that pass by themselves, and the same test over
the pairs of all data sets together.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from experiments.study.statistics import average, matched, t_interval

MARGINS = {"conditional_accuracy": 0.02, "coverage": 0.05, "synthetic_accuracy": 0.02}
"""Allowed loss, in the unit of the measure: shares of samples."""

MEASURES = (
    "conditional_accuracy", "synthetic_accuracy", "coverage", "recall", "precision", "density",
    "frechet_distance",
)  # fmt: skip
GROUPS = ("data", "scope", "kind", "level", "codec")
ALL = "all"
"""Name of the data set in rows that take the pairs of all data sets together."""


def summarise(quality: pd.DataFrame) -> pd.DataFrame:
    """Return the mean and interval over seeds of each measure for each kind of generator."""
    return average(quality, GROUPS, MEASURES)


def paired_differences(
    quality: pd.DataFrame,
    baseline: Mapping[str, Any],
    *,
    same_level: bool = False,
    measures: Iterable[str] = MEASURES,
) -> pd.DataFrame:
    """Return the mean and interval of the difference to a baseline of the same seed.

    ``baseline`` are columns and values that select the baseline, such as kind, level and codec;
    ``same_level`` says whether each level has its own baseline.
    """
    pair = ["data", "scope", "seed", *(["level"] if same_level else [])]
    chosen = np.logical_and.reduce([quality[name] == value for name, value in baseline.items()])
    rows = []
    for key, part in quality.groupby(list(GROUPS), sort=False):
        own, reference = matched(part, quality[chosen], pair)
        if own.empty or key[2] == "real":
            continue
        for measure in measures:
            mean, half = t_interval(own[measure] - reference[measure])
            rows.append(
                dict(zip(GROUPS, key, strict=True))
                | {
                    "measure": measure,
                    "seeds": len(own),
                    "baseline": float(reference[measure].mean()),
                    "value": float(own[measure].mean()),
                    "difference": mean,
                    "low": mean - half,
                    "high": mean + half,
                }
            )
    return pd.DataFrame(rows)


def judge_not_worse(quality: pd.DataFrame) -> pd.DataFrame:
    """Return the difference to the dense generator and the verdict, for the measures of MARGINS.

    ``not_worse`` is empty if there are fewer than two seeds. Rows of data set ``all`` take the
    pairs of all data sets together.
    """
    dense = {"kind": "retrained", "level": 0, "codec": "sparse"}
    tables = [paired_differences(quality, dense, measures=MARGINS)]
    if quality["data"].nunique() > 1:
        pairs = quality["data"] + " " + quality["seed"].astype(str)
        together = quality.assign(seed=pairs, data=ALL)
        tables.append(paired_differences(together, dense, measures=MARGINS))
    table = pd.concat(tables, ignore_index=True)
    if table.empty:
        return table
    table["margin"] = table["measure"].map(MARGINS)
    verdict = (table["low"] >= -table["margin"]).astype(object)
    table["not_worse"] = verdict.where(table["seeds"] > 1, None)
    return table


def largest_level(verdicts: pd.DataFrame) -> int:
    """Return the largest P up to which every level passes in every measure; 0 if none does."""
    passed = set(passing_levels(verdicts))
    largest = 0
    while largest + 1 in passed:
        largest += 1
    return largest


def passing_levels(verdicts: pd.DataFrame, *, dense: bool = False) -> list[int]:
    """Return each P that passes in every measure, independently of the levels before it.

    ``dense`` includes P = 0, where lossy codes may pass or not.
    """
    passed = (verdicts["not_worse"] == 1).groupby(verdicts["level"]).all()
    levels = [int(str(level)) for level, passes in passed.items() if passes]
    return [level for level in levels if level > 0 or dense]


def worse_from(verdicts: pd.DataFrame) -> int | None:
    """Return the P from which every level is shown to be worse in some measure; None if none is.

    Shown to be worse: the whole interval of the difference is below zero. Between this P and
    ``largest_level`` the result is open.
    """
    worse = (verdicts["high"] < 0).groupby(verdicts["level"]).any().sort_index(ascending=False)
    first = None
    for level, is_worse in worse[worse.index > 0].items():
        if not is_worse:
            break
        first = int(str(level))
    return first
