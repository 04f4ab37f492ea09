"""Each figure ± interval in the text of a study's page follows from its committed tables."""

import itertools
import re
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.study.statistics import t_interval
from tests.experiments.test_pages import STUDIES, study_of

ROOT = Path(__file__).parents[2]
SCALES = (1, 100, 1e-3, 1e4, 1e-6)  # per cent, kB, squared differences in 1e-4, MB
INTERVAL = re.compile(r"([+-]?[\d,]*\.?\d+) ± ([\d,]*\.?\d+)")


@cache
def table_intervals(path):
    """Return mean and half width of each column over seeds, and of differences by seed."""
    return list(found_intervals(pd.read_csv(path)))


def found_intervals(table):
    for name in table:
        if f"{name}_half_width" in table:
            yield from zip(table[name], table[f"{name}_half_width"], strict=True)
    words = [name for name in table if pd.api.types.is_string_dtype(table[name])]
    if "seed" in table and words and len(table) < 100:
        groups = [part.set_index("seed") for _, part in table.groupby(words)]
        parts = [
            part.select_dtypes("number")
            for part in groups
            if part.index.is_unique and len(part) > 1
        ]
        parts += [one - other for one, other in itertools.combinations(parts, 2)]
        for part in parts:
            for name in part:
                finite = part[name][np.isfinite(part[name])]
                if len(finite) > 1:
                    yield t_interval(finite)


def unknown_intervals(text, tables):
    """Return what a text says as ``figure ± interval`` and no table has, whatever its scale."""
    known = np.array([pair for path in tables for pair in table_intervals(path)])
    scaled = np.concatenate([known * scale for scale in SCALES])
    prose = re.sub(r"<!-- (?!end).*?<!-- end -->", "", text, flags=re.S)
    unknown = []
    for mean, half in INTERVAL.findall(prose):
        room = 0.51 * 10.0 ** -len(mean.partition(".")[2])
        wanted = [abs(float(figure.replace(",", ""))) for figure in (mean, half)]
        if not (np.abs(np.abs(scaled) - wanted) <= room).all(axis=1).any():
            unknown.append(f"{mean} ± {half}")
    return unknown


@pytest.mark.parametrize("module", STUDIES)
def test_intervals_of_a_page_are_those_of_its_tables(module):
    study = study_of(module)
    tables = sorted(study.committed.rglob("*.csv"))
    for page in study.pages:
        assert unknown_intervals((study.home / page).read_text(), tables) == []


def test_intervals_of_what_holds_are_in_some_table():
    tables = [path for module in STUDIES for path in study_of(module).committed.rglob("*.csv")]
    assert unknown_intervals((ROOT / "docs/what_holds.md").read_text(), tables) == []


def test_a_changed_interval_is_found(tmp_path):
    path = tmp_path / "runs.csv"
    pd.DataFrame({"way": ["a"] * 3, "seed": [0, 1, 2], "score": [0.1, 0.2, 0.3]}).to_csv(path)
    assert unknown_intervals("ends at 0.20 ± 0.25", [path]) == []
    assert unknown_intervals("ends at 20 ± 25 %", [path]) == []
    assert unknown_intervals("ends at 0.20 ± 0.22", [path]) == ["0.20 ± 0.22"]
