"""The tables of the comparison, from what finished runs have left."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from experiments.federated_regeneration.cases import QUALITY
from experiments.study.cases import Record
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


def tables(records: Sequence[Record]) -> dict[str, pd.DataFrame]:
    """Return a row a run, and means over seeds."""
    runs = pd.DataFrame([row for record in records for row in record.rows("ways")])
    measured = ["sparsity", "payload_up_bytes", *QUALITY, "wall_s"]
    runs = runs[["regeneration", "way", "seed", *measured]]
    return {"runs.csv": runs, "summary.csv": average(runs, ["regeneration", "way"], measured)}


def page(tables: Mapping[str, pd.DataFrame], run: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each marker of the page.

    Differences are what regeneration has more than iterative pruning of the same seed, bytes in
    percent.
    """
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
