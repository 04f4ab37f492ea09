"""The tables of the study, from what its cases have measured."""

from collections.abc import Sequence

import pandas as pd

from experiments.papers.compressibility_wgan.federated.many_rounds import (
    COLUMNS,
    RoundsCase,
    bytes_to_quality,
    with_quality_of_plain,
)
from experiments.papers.compressibility_wgan.federated.one_shot import LongerCase, PoolCase
from experiments.study.cases import Record

COUNTS = ("round", "samples", "samples_equal_cost", "parameters", "prunings")


def tables(records: Sequence[Record]) -> dict[str, pd.DataFrame]:
    """Return the tables of all kinds of cases that have finished."""
    pools, longer, runs = (
        [record for record in records if isinstance(record.case, kind)]
        for kind in (PoolCase, LongerCase, RoundsCase)
    )
    found = {
        "one_shot": pd.DataFrame([record.row for record in pools]),
        "one_shot_clients": pd.DataFrame(
            [row for record in pools for row in record.rows("clients")]
        ).rename(columns={"clients": "federation"}),
        "longer_training": pd.DataFrame([record.row for record in longer]),
    }
    if runs:
        rows = [row for record in runs for row in record.rows("rounds")]
        columns = [*runs[0].case.place, *COLUMNS]
        rounds = with_quality_of_plain(pd.DataFrame(rows).reindex(columns=columns))
        found |= {"many_rounds": rounds, "bytes_to_quality": bytes_to_quality(rounds)}
    return {f"{name}.csv": _counted(table) for name, table in found.items() if len(table)}


def _counted(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with whole numbers as such."""
    counts = [name for name in table if str(name).endswith("bytes") or name in COUNTS]
    return table.astype(dict.fromkeys(counts, "Int64"))
