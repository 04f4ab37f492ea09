"""Tables of the benchmark: a row a case, and means over seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from experiments.benchmarks.families.entries import REFERENCE
from experiments.benchmarks.families.tables import QUALITY, summarise
from experiments.study.cases import Record


def tables(records: Sequence[Record]) -> dict[str, pd.DataFrame]:
    """Return a row a case, and means over seeds."""
    rows = case_rows(records)
    return {"rows.csv": rows, "summary.csv": summarise(rows)}


def case_rows(records: Sequence[Record]) -> pd.DataFrame:
    """Return the finished cases, a row each.

    ``frechet_ratio`` is to the entry ``raw`` of the same data and seed, NaN where that is not
    finished; ``macs_reduction`` is dense multiply-accumulates before by after; ``speed_up`` samples
    a second after by before; ``cost_cpu_s`` processor seconds of training and coding together.
    """
    table = pd.DataFrame([record.row for record in records])
    table = table.rename(columns={"cpu_s": "cell_cpu_s"})
    reference = table[table["entry"] == REFERENCE].set_index(["data", "seed"])["frechet_distance"]
    places = pd.MultiIndex.from_frame(table[["data", "seed"]])
    before = reference.reindex(places).to_numpy(dtype=float)
    table[QUALITY] = table["frechet_distance"] / before
    table["macs_reduction"] = table["teacher_macs"] / table["dense_macs"]
    table["speed_up"] = table["samples_per_s"] / table["teacher_samples_per_s"]
    table["cost_cpu_s"] = table["train_cpu_s"] + table["encode_cpu_s"]
    return table


def facts(records: Sequence[Record]) -> Mapping[str, Any]:
    """Return size and quality of the uncompressed generators of each kind, and of real samples."""
    found: dict[str, Any] = {
        record.case.material.name: {"parameters": 0, "frechet_distance": [], "real": None}
        for record in records
    }
    for record in records:
        if record.case.entry.name == REFERENCE:
            known, distance = found[record.case.material.name], record.result["frechet_distance"]
            known["parameters"] = int(record.result["parameters"])
            known["frechet_distance"].append(float(f"{distance:.6g}"))
            known["real"] = record.result["real"]
    return {"generators": found}
