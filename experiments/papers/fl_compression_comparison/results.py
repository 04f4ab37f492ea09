"""Tables of the comparison from what finished runs have left; pictures are in ``pictures.py``."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from experiments.papers.fl_compression_comparison.cases import costs
from experiments.papers.fl_compression_comparison.setting import TABLE_5
from experiments.study.cases import Record
from experiments.study.statistics import average, differences

GROUP = ["partition", "clients", "algorithm", "method"]
MEASURES = ("test_accuracy", "test_loss", "train_accuracy", "train_loss")
COSTS = (
    "ratio", "up_ratio", "down_ratio", "message_ratio", "sparse_ratio", "uploaded_nonzero",
    "delay_s", "compute_s", "coding_s", "transfer_computed_s", "teacher_s",
)  # fmt: skip


def tables(records: Sequence[Record]) -> dict[str, pd.DataFrame]:
    """Return every table of the study; all but the first are means over seeds."""
    runs = pd.DataFrame([run_row(record) for record in records])
    summary = average(runs, GROUP, [*MEASURES, *COSTS])
    rounds, codecs, formulas = (_all(records, name) for name in ("rounds", "codecs", "formulas"))
    formulas = formulas[formulas["partition"] != "whole"] if len(formulas) else formulas
    groups = ["partition", "algorithm", "formula"]
    measured = ("zeros", "largest_error", "test_accuracy", "test_loss")
    by_round = average(rounds, [*GROUP, "round"], MEASURES)
    return {
        "runs.csv": runs,
        "summary.csv": summary,
        "differences.csv": to_uncompressed(runs),
        "table5.csv": table_5(summary),
        "rounds.csv": by_round.drop(columns=[f"{name}_half_width" for name in MEASURES]),
        "codecs.csv": average(codecs, [*GROUP, "codec"], ["payload_bytes", "ratio"]),
        "formulas.csv": (
            average(formulas, groups, measured)
            if len(formulas)
            else pd.DataFrame(columns=[*groups, "seeds", *measured])
        ),
    }


def run_row(record: Record) -> dict[str, Any]:
    """Return one run as a row: quality after the last round, bytes, seconds of a usual round."""
    row = record.row | costs(record.case, record.folder, pd.DataFrame(record.result["rounds"]))
    return row | {
        "uploaded_nonzero": row["uploaded_nonzero"] / row["parameters"]
    }  # fmt: skip


def to_uncompressed(runs: pd.DataFrame) -> pd.DataFrame:
    """Return what each method changes against no compression with the same split and seed."""
    return differences(
        runs, runs["method"] == "none", groups=GROUP, measures=MEASURES,
        pair=["partition", "clients", "algorithm", "seed"],
    )  # fmt: skip


def table_5(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the paper's Table 5 with ours beside it, for every split and algorithm."""
    shown = summary[summary["method"].isin(TABLE_5) & (summary["partition"] != "whole")]
    rows = []
    for _, row in shown.iterrows():
        paper = {f"paper_{k}": value for k, value in asdict(TABLE_5[row["method"]]).items()}
        rows.append({"model": list(TABLE_5).index(row["method"]) + 1} | paper | dict(row))
    return pd.DataFrame(rows)


def facts(records: Sequence[Record]) -> Mapping[str, Any]:
    """Return hyperparameters, the speed of the link, and who holds how many of each class."""
    first = records[0].case
    return {
        "hyperparameters": asdict(first.hyperparameters),
        "link_mbit_per_s": first.link_mbit,
        "samples_by_client_and_class": {
            record.case.name: record.result["held"]
            for record in records
            if record.case.method.name == "none"
            and record.case.partition == "dirichlet"
            and record.case.algorithm == first.algorithm
        },
    }


def _all(records: Sequence[Record], name: str) -> pd.DataFrame:
    return pd.DataFrame([row for record in records for row in record.rows(name)])
