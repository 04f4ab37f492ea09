"""Means over seeds with their intervals, and pairs of runs with the same seed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

CONFIDENCE = 0.95


def where(table: pd.DataFrame, **values: Any) -> pd.DataFrame:
    """Return the rows whose columns have these values; an empty table is returned unchanged."""
    for name, value in values.items():
        table = table[table[name] == value] if len(table) else table
    return table


def t_interval(values: Iterable[float], *, comparisons: int = 1) -> tuple[float, float]:
    """Return the mean and the half width of the 95 % t interval, NaN for a single value.

    With several ``comparisons``, all intervals hold together with 95 % (Bonferroni).
    """
    x = np.asarray(list(values), dtype=np.float64)
    if len(x) < 2:
        return float(x.mean()), float("nan")
    factor = student.ppf(1 - (1 - CONFIDENCE) / 2 / comparisons, len(x) - 1)
    return float(x.mean()), float(factor * x.std(ddof=1) / np.sqrt(len(x)))


def intervals(table: pd.DataFrame, *, comparisons: int = 1) -> dict[str, float]:
    """Return the mean of each column as ``NAME`` and its interval as ``NAME_half_width``."""
    found = {}
    for name in table:
        found[str(name)], found[f"{name}_half_width"] = t_interval(
            table[name], comparisons=comparisons
        )
    return found


def average(table: pd.DataFrame, groups: Sequence[str], columns: Iterable[str]) -> pd.DataFrame:
    """Return the mean and the interval of columns over the seeds, one row per group.

    ``table`` has one row per group and seed.
    """
    wanted = list(columns)
    rows = []
    for key, part in table.groupby(list(groups), sort=False):
        place: dict[str, Any] = dict(zip(groups, key, strict=True))
        rows.append(place | {"seeds": len(part)} | intervals(part[wanted]))
    return pd.DataFrame(rows)


def matched(
    first: pd.DataFrame, second: pd.DataFrame, pair: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of two tables that share the values of ``pair``, which becomes the index."""
    own, other = first.set_index(list(pair)), second.set_index(list(pair))
    shared = own.index.intersection(other.index)
    return own.loc[shared], other.loc[shared]


def differences(
    table: pd.DataFrame,
    baseline: "pd.Series[bool]",
    *,
    groups: Sequence[str],
    pair: Sequence[str],
    measures: Sequence[str],
    comparisons: int = 1,
    more: Callable[[pd.DataFrame, pd.DataFrame], Mapping[str, Any]] = lambda own, base: {},
) -> pd.DataFrame:
    """Return the mean and interval over pairs of each group's difference to the baseline.

    ``table`` has one row per run; ``pair`` are columns whose values a run shares with its baseline,
    such as the seed; ``comparisons`` is that of ``t_interval``; ``more`` computes further columns
    from the paired rows of a group and of the baseline.
    """
    rows = []
    for key, part in table[~baseline].groupby(list(groups), sort=False):
        own, base = matched(part, table[baseline], pair)
        if own.empty:
            continue
        row: dict[str, Any] = dict(zip(groups, key, strict=True)) | {"seeds": len(own)}
        changed = own[list(measures)] - base[list(measures)]
        rows.append(row | intervals(changed, comparisons=comparisons) | dict(more(own, base)))
    return pd.DataFrame(rows, columns=None if rows else [*groups, "seeds", *measures])
