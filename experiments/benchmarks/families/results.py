"""Tables of the benchmark: one row per case, and means over seeds."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.benchmarks.families.entries import REFERENCE
from experiments.benchmarks.families.material import Material, materials
from experiments.study.cases import Record
from experiments.study.markdown import Cell, Columns, number, page_table
from experiments.study.results import description

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
    """Return the mean, smallest and largest value of each measure over the seeds of an entry."""
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
    """Return the entries of a front; for the cost of compressing, only much smaller payloads."""
    if cost != "cost_cpu_s":
        return summary
    return summary[summary["compression_ratio"] >= SMALLER]


def on_front(cost: NDArray[np.float64], quality: NDArray[np.float64]) -> list[bool]:
    """Return for each point whether no other dominates it (lower is better); False with a NaN."""
    found = []
    for c, q in zip(cost, quality, strict=True):
        better = (cost <= c) & (quality <= q) & ((cost < c) | (quality < q))
        found.append(not bool(better.any()) and bool(np.isfinite([c, q]).all()))
    return found


def tables(records: Sequence[Record]) -> dict[str, pd.DataFrame]:
    """Return one row per case, and means over seeds."""
    rows = case_rows(records)
    return {"rows.csv": rows, "summary.csv": summarise(rows)}


def case_rows(records: Sequence[Record]) -> pd.DataFrame:
    """Return the finished cases, one row each.

    ``frechet_ratio`` is relative to the entry ``raw`` of the same data and seed, NaN if that is not
    finished; ``macs_reduction`` is dense multiply-accumulates before / after; ``speed_up`` samples
    per second after / before; ``cost_cpu_s`` the processor seconds of training plus coding.
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
    """Return size and quality of the uncompressed generators, and the quality of real samples."""
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


def page(tables: Mapping[str, pd.DataFrame], run: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each marker of the page."""
    kinds = materials(tuple(run["generators"]), short="--short" in run["command"])
    summary = tables["summary.csv"]
    parts = {kind.name: entries(summary[summary["data"] == kind.name], kind) for kind in kinds}
    budgets = pd.DataFrame([vars(kind) | run["generators"][kind.name] for kind in kinds])
    return parts | {"budget": budget(budgets), "run": description(run)}


def entries(summary: pd.DataFrame, material: Material) -> str:
    """Return all entries of one kind of generator, mean (smallest to largest) over seeds."""
    extra = "conditional accuracy" if material.gan.conditional else "Laplacian variance"
    column = extra.replace(" ", "_").lower()

    def label(row: Any) -> str:
        stars = "**" if row["front_payload_bytes"] else ""
        return f"{stars}{row['label']}{stars}"

    def percent(name: str) -> Cell:
        return lambda row: f"{100 * row[name] / (row['dense_macs'] * row['macs_reduction']):.0f}"

    columns: Columns = [
        ("family", "family"), ("entry", label), ("codec", lambda row: f"`{row['codec']}`"),
        ("bytes", _mean("payload_bytes", 0)), ("ratio", _mean("compression_ratio", 1)),
        ("Fréchet, × uncompressed", lambda row: spread(row, QUALITY)),
        *((name, _mean(name, 2)) for name in ("precision", "recall", "coverage")),
        ("inception-type score", _mean("inception_score", 2)), (extra, _mean(column, 2)),
        ("PSNR, dB", lambda row: f"{row['psnr_db']:.1f}".replace("inf", "∞")),
        ("MACs, %", percent("dense_macs")), ("MACs, zeros skipped, %", percent("sparse_macs")),
        ("speed, ×", _mean("speed_up", 2)), ("training, s", _mean("train_cpu_s", 1)),
    ]  # fmt: skip
    return page_table(summary, columns)


def spread(row: Any, name: str) -> str:
    """Return the mean; for several seeds also the smallest and the largest value."""
    mean = f"{row[name]:.3g}"
    if row["seeds"] < 2:
        return mean
    return f"{mean} ({row[f'{name}_min']:.3g} to {row[f'{name}_max']:.3g})"


def budget(generators: pd.DataFrame) -> str:
    """Return the lengths of the trainings, and the quality of the uncompressed generators."""

    def real(row: Any) -> str:
        return f"{row['real']['frechet_distance']:.3g}" if row["real"] else "-"

    columns: Columns = [
        ("generator", "title"),
        ("weights", lambda row: number(row["parameters"] or math.nan, 0)),
        ("trained for, updates", lambda row: f"{row['base_iterations']:,}"),
        ("budget of a method, updates", lambda row: f"{row['iterations']:,}"),
        ("its learning rates, ×", lambda row: f"{row['rate']:g}"),
        ("Fréchet distance, uncompressed",
         lambda row: ", ".join(f"{value:.3g}" for value in row["frechet_distance"]) or "-"),
        ("real against real", real),
    ]  # fmt: skip
    return page_table(generators, columns)


def _mean(name: str, digits: int) -> Callable[[Any], str]:
    return lambda row: f"{row[name]:,.{digits}f}"
