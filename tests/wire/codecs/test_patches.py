"""Lossless patches of weights that few changed take no more than what is coded by hand."""

import pandas as pd
import pytest

from experiments.benchmarks.patches import CASES, main, measure


@pytest.mark.parametrize("case", CASES, ids="{0[0]} {0[1]}".format)
def test_patches_are_at_least_as_short_as_by_hand(case):
    row = measure(*case, count=50_000)
    assert row["changed"] == pytest.approx(case[1], rel=0.05)
    assert row["ratio"] >= row["by_hand_ratio"]


def test_the_command_writes_a_table(tmp_path):
    assert main(["--short", "--output", str(tmp_path / "patches.csv")]) == 0
    assert len(pd.read_csv(tmp_path / "patches.csv")) == len(CASES)
