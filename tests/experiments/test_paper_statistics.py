"""Intervals and verdicts of the study of paper 000."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp

from experiments.papers.compressibility_wgan.pages import ranges
from experiments.papers.compressibility_wgan.statistics import (
    MEASURES,
    judge_not_worse,
    largest_level,
    paired_differences,
    passing_levels,
    worse_from,
)
from experiments.study.statistics import t_interval


def table(rows):
    """Rows (seed, kind, level, quality): all measures take the same value."""
    return pd.DataFrame(
        [
            {"data": "d", "scope": "global", "seed": seed, "kind": kind, "level": level}
            | {"codec": "sparse"}
            | dict.fromkeys(MEASURES, value)
            for seed, kind, level, value in rows
        ]
    )


def test_the_interval_is_that_of_scipy():
    values = np.random.default_rng(0).normal(size=5)
    mean, half = t_interval(values)
    low, high = ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert (mean - half, mean + half) == pytest.approx((low, high))


def test_one_seed_gives_no_interval_and_no_verdict():
    mean, half = t_interval([0.5])
    assert mean == 0.5
    assert math.isnan(half)
    verdicts = judge_not_worse(table([(0, "retrained", 0, 0.9), (0, "pruned", 1, 0.9)]))
    assert verdicts["not_worse"].isna().all()
    assert largest_level(verdicts[verdicts.kind == "pruned"]) == 0


def test_differences_are_paired_by_seed():
    seeds = range(5)
    rows = [(seed, "retrained", 0, 0.5 + 0.1 * seed) for seed in seeds]
    rows += [(seed, "pruned", 1, 0.49 + 0.1 * seed) for seed in seeds]
    found = paired_differences(
        table(rows), {"kind": "retrained", "level": 0}, measures=["coverage"]
    )
    row = found[found.kind == "pruned"].iloc[0]
    assert row.difference == pytest.approx(-0.01)
    assert row.high - row.low == pytest.approx(0, abs=1e-9)  # seeds differ, pairs do not
    assert row.seeds == 5


def test_the_margin_decides_and_a_failed_level_ends_the_claim():
    rows = [(seed, "retrained", 0, 0.9 + 0.001 * seed) for seed in range(5)]
    losses = {1: 0.0, 2: 0.015, 3: 0.03, 4: 0.0}  # the third is beyond 0.02
    rows += [
        (seed, "pruned", level, 0.9 + 0.001 * seed - loss)
        for level, loss in losses.items()
        for seed in range(5)
    ]
    verdicts = judge_not_worse(table(rows))
    pruned = verdicts[verdicts.kind == "pruned"]
    passed = pruned[pruned.measure == "synthetic_accuracy"].set_index("level")["not_worse"]
    assert dict(passed) == {1: True, 2: True, 3: False, 4: True}
    assert largest_level(pruned) == 2
    assert passing_levels(pruned) == [1, 2, 4]
    assert worse_from(pruned) is None  # the last level is as good as the dense generator


def test_worse_from_is_the_first_of_the_levels_that_are_all_shown_worse():
    noise = [-0.002, 0.002, -0.001, 0.001, 0.0]
    losses = {1: 0.0, 2: 0.05, 3: 0.0, 4: 0.05, 5: 0.06}
    rows = [(seed, "retrained", 0, 0.9) for seed in range(5)]
    rows += [
        (seed, "pruned", level, 0.9 - loss + noise[seed])
        for level, loss in losses.items()
        for seed in range(5)
    ]
    verdicts = judge_not_worse(table(rows))
    assert worse_from(verdicts[verdicts.kind == "pruned"]) == 4


def test_a_wide_interval_is_no_proof():
    noise = [-0.05, 0.05, -0.04, 0.04, 0.0]
    rows = [(seed, "retrained", 0, 0.9) for seed in range(5)]
    rows += [(seed, "pruned", 1, 0.9 + noise[seed]) for seed in range(5)]
    verdicts = judge_not_worse(table(rows))
    assert not verdicts[verdicts.kind == "pruned"]["not_worse"].any()


def test_pairs_of_all_data_sets_are_taken_together_beside_each_alone():
    rows = [(seed, "retrained", 0, 0.9) for seed in range(2)]
    rows += [(seed, "pruned", 1, 0.9) for seed in range(2)]
    both = pd.concat([table(rows), table(rows).assign(data="e")])
    verdicts = judge_not_worse(both)
    seeds = verdicts[verdicts.kind == "pruned"].groupby("data")["seeds"].first()
    assert dict(seeds) == {"d": 2, "e": 2, "all": 4}


def test_runs_of_levels_are_shortened():
    assert ranges([]) == ""
    assert ranges([1, 2, 4, 5, 6, 9]) == "1, 2, 4-6, 9"
