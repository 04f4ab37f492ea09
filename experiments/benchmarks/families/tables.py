"""Tables of all cells: a row a cell, means over seeds, and what nothing else is better than."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.benchmarks.families.cell import read_cell
from experiments.benchmarks.families.entries import REFERENCE
from experiments.benchmarks.families.study import Plan

QUALITY = "frechet_ratio"
COSTS = ("payload_bytes", "sparse_macs", "cost_cpu_s")
MEASURES = (
    "payload_bytes", "compression_ratio", QUALITY, "frechet_distance", "precision", "recall",
    "density", "coverage", "inception_score", "conditional_accuracy", "synthetic_accuracy",
    "psnr_db", "laplacian_variance", "parameters", "nonzero", "dense_macs", "sparse_macs",
    "macs_reduction", "samples_per_s", "speed_up", "train_cpu_s", "encode_cpu_s", "decode_cpu_s",
    "cost_cpu_s",
)  # fmt: skip
SMALLER = 8
_IDENTITY = ["data", "entry", "family", "label", "codec", "methods", "iterations"]


def read_rows(plan: Plan, folder: Path) -> pd.DataFrame:
    """Return the finished cells of a plan, a row each, labels and families as entries have them.

    ``frechet_ratio`` is to the entry ``raw`` of the same data and seed, NaN where that is not
    finished; ``macs_reduction`` is dense multiply-accumulates before by after; ``speed_up`` samples
    a second after by before; ``cost_cpu_s`` processor seconds of training and coding together.
    """
    rows = []
    for seed, material, entry in plan.cells():
        row = read_cell(folder, entry, material, seed)
        if row is not None:
            rows.append(row | {"label": entry.label, "family": entry.family})
    table = pd.DataFrame(rows)
    if not len(table):
        return table
    reference = table[table["entry"] == REFERENCE].set_index(["data", "seed"])["frechet_distance"]
    places = pd.MultiIndex.from_frame(table[["data", "seed"]])
    before = reference.reindex(places).to_numpy(dtype=float)
    table[QUALITY] = table["frechet_distance"] / before
    table["macs_reduction"] = table["teacher_macs"] / table["dense_macs"]
    table["speed_up"] = table["samples_per_s"] / table["teacher_samples_per_s"]
    table["cost_cpu_s"] = table["train_cpu_s"] + table["encode_cpu_s"]
    return table


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Return mean, smallest and largest value of each measure over the seeds of an entry."""
    found = []
    for identity, part in rows.groupby(_IDENTITY, sort=False):
        row = dict(zip(_IDENTITY, identity, strict=True)) | {"seeds": len(part)}
        for name in MEASURES:
            values = part[name].to_numpy(dtype=float)
            row[name] = values.mean()
            row[f"{name}_min"], row[f"{name}_max"] = values.min(), values.max()
        found.append(row)
    table = pd.DataFrame(found)
    for cost in COSTS:
        table[f"front_{cost}"] = False
        for _, part in comparable(table, cost).groupby("data"):
            table.loc[part.index, f"front_{cost}"] = on_front(
                part[cost].to_numpy(dtype=float), part[QUALITY].to_numpy(dtype=float)
            )
    return table


def comparable(summary: pd.DataFrame, cost: str) -> pd.DataFrame:
    """Return the entries that a front is about: for the cost of compressing, those that do.

    These are the entries whose payload is at least ``SMALLER`` times smaller; doing nothing costs
    nothing.
    """
    if cost != "cost_cpu_s":
        return summary
    return summary[summary["compression_ratio"] >= SMALLER]


def on_front(cost: NDArray[np.float64], quality: NDArray[np.float64]) -> list[bool]:
    """Return for each point whether no other one is as good in both and better in one.

    Lower is better in both; a point with a NaN is never on the front.
    """
    found = []
    for c, q in zip(cost, quality, strict=True):
        better = (cost <= c) & (quality <= q) & ((cost < c) | (quality < q))
        found.append(not bool(better.any()) and bool(np.isfinite([c, q]).all()))
    return found
