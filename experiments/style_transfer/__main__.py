"""One stroke style to another without pairs, with and without the cycle loss.

::

    python -m experiments.style_transfer            # all that is committed here
    python -m experiments.style_transfer --short    # seconds; results in runs/
    python -m experiments.style_transfer --report   # only tables and picture
    python -m experiments.style_transfer --ways cycle,pruned --seeds 3,4

A finished training is never repeated; the same command continues after an interruption.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.study.cases import Record
from experiments.study.command import Study
from experiments.study.markdown import Columns, page_table
from experiments.study.results import description, read_samples
from experiments.study.statistics import average, differences
from experiments.style_transfer.cases import WAYS, Case
from flwr_gan.plots import sample_grid

BASELINE = "cycle"
SHORT: dict[str, int] = {"updates": 4, "num_samples": 156}
_QUALITY: Columns = [
    ("squared difference, 1e-4", ("squared_difference", 2, 1e-4)),
    ("pixel accuracy", ("pixel_accuracy", 3)), ("IoU", ("iou", 3)),
    ("class kept", ("class_kept", 3)), ("Fréchet distance", ("frechet_distance", 2)),
    ("cycle error", ("cycle_error", 4)),
]  # fmt: skip
_SIZE: Columns = [
    ("pruned, %", ("sparsity", 1, 0.01)), ("payload, bytes", ("payload_bytes", 0)),
]  # fmt: skip
MEASURES = [spec[0] for _, spec in (*_QUALITY, *_SIZE) if isinstance(spec, tuple)]


def cases(options: argparse.Namespace) -> list[Case]:
    """Return all ways, seed after seed."""
    sizes = SHORT if options.preset == "short" else {}
    return [Case(way=way, seed=seed, **sizes) for seed in options.seeds for way in options.ways]


def tables(records: Sequence[Record]) -> dict[str, pd.DataFrame]:
    """Return one row per way and seed, and means over seeds."""
    runs = pd.DataFrame([record.row for record in records]).reindex(
        columns=["way", "seed", *MEASURES]
    )
    return {"runs.csv": runs, "summary.csv": average(runs, ["way"], MEASURES)}


def page(tables: Mapping[str, pd.DataFrame], run: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each marker of the page.

    Differences are each other way minus the way with the cycle loss, with the same seed.
    """
    way: Columns = [("", lambda row: WAYS[row["way"]]), ("seeds", "seeds")]
    runs = tables["runs.csv"]
    changes = differences(
        runs, runs["way"] == BASELINE, groups=["way"], pair=["seed"], measures=MEASURES
    )
    return {
        "ways": page_table(tables["summary.csv"], [*way, *_QUALITY, *_SIZE]),
        "differences": page_table(changes, [*way, *_QUALITY], sign="+"),
        "run": description(run),
    }


def figures(tables: Mapping[str, pd.DataFrame], records: Sequence[Record]) -> dict[str, Figure]:
    """Draw samples of the first seed, one row per way, with the same drawings in all rows."""
    first = [record for record in records if record.case.seed == records[0].case.seed]
    x_KnTC = np.stack([read_samples(record.folder) for record in first])
    return {"samples.png": sample_grid(x_KnTC, [WAYS[r.case.way] for r in first], "strokes")}


STUDY = Study(
    module="experiments.style_transfer",
    about="One stroke style to another without pairs, with and without the cycle loss.",
    home=Path(__file__).parent,
    cases=cases,
    tables=tables,
    page=page,
    figures=figures,
    choices={"ways": tuple(WAYS)},
    libraries=("torch", "numpy", "scipy", "scikit-learn", "pandas"),
    shown=("squared_difference", "class_kept"),
)
main = STUDY.main

if __name__ == "__main__":
    sys.exit(main())
