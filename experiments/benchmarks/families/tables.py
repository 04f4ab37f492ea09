"""Means over seeds, and what nothing else is better than."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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
