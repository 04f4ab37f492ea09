"""From rows of single seeds to intervals and verdicts.

The comparison was fixed before the first run: five paired seeds, 95 % t intervals of the paired
differences, and the margins below. A generator is *not worse* than the dense one where the lower
limit of its difference is above minus the margin, in each of three measures: fidelity, diversity
and usefulness. No correction is made for looking at several P; the verdict "up to P" asks that
every level up to P passes. Five seeds turned out to leave many levels open, so two things were
added after the first look and are named as such: the levels that pass by themselves, and the same
test over the pairs of all data sets together.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from experiments.study.statistics import average, matched, t_interval

MARGINS = {"conditional_accuracy": 0.02, "coverage": 0.05, "synthetic_accuracy": 0.02}
"""How much may be lost, in units of the measure itself: shares of samples."""

MEASURES = (
    "conditional_accuracy", "synthetic_accuracy", "coverage", "recall", "precision", "density",
    "frechet_distance",
)  # fmt: skip
GROUPS = ("data", "scope", "kind", "level", "codec")
ALL = "all"
"""Stands for the data set where the pairs of all of them are taken together."""


def summarise(quality: pd.DataFrame) -> pd.DataFrame:
    """Return mean and interval over seeds of each measure of each kind of generator."""
    return average(quality, GROUPS, MEASURES)


def paired_differences(
    quality: pd.DataFrame,
    baseline: Mapping[str, Any],
    *,
    same_level: bool = False,
    measures: Iterable[str] = MEASURES,
) -> pd.DataFrame:
    """Return mean and interval of the difference to a baseline of the same seed.

    ``baseline`` are columns and values that pick the baseline, such as kind, level and codec;
    ``same_level`` says whether it differs from level to level.
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
    """Return the difference to the dense generator with the verdict, for the measures of MARGINS.

    ``not_worse`` is empty where there are fewer than two seeds. Rows of data set ``all`` take the
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
    """Return the largest P up to which every level passes in every measure; 0 where none does."""
    passed = set(passing_levels(verdicts))
    largest = 0
    while largest + 1 in passed:
        largest += 1
    return largest


def passing_levels(verdicts: pd.DataFrame, *, dense: bool = False) -> list[int]:
    """Return each P that passes in every measure, whatever the levels before it do.

    ``dense`` asks for P = 0 too, where lossy codes may pass or not.
    """
    passed = (verdicts["not_worse"] == 1).groupby(verdicts["level"]).all()
    levels = [int(str(level)) for level, passes in passed.items() if passes]
    return [level for level in levels if level > 0 or dense]


def worse_from(verdicts: pd.DataFrame) -> int | None:
    """Return the P from which on every level is shown to be worse in some measure; None for none.

    Shown to be worse: the whole interval of the difference lies below zero. Between this P and
    ``largest_level`` the seeds leave it open.
    """
    worse = (verdicts["high"] < 0).groupby(verdicts["level"]).any().sort_index(ascending=False)
    first = None
    for level, is_worse in worse[worse.index > 0].items():
        if not is_worse:
            break
        first = int(str(level))
    return first
