"""The tables of README.md, from the tables of results."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from experiments.benchmarks.families.material import Material, materials
from experiments.benchmarks.families.tables import QUALITY
from experiments.study.markdown import Cell, Columns, number, page_table
from experiments.study.results import description


def page(tables: Mapping[str, pd.DataFrame], run: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each marker of the page."""
    kinds = materials(tuple(run["generators"]), short="--short" in run["command"])
    summary = tables["summary.csv"]
    parts = {kind.name: entries(summary[summary["data"] == kind.name], kind) for kind in kinds}
    budgets = pd.DataFrame([vars(kind) | run["generators"][kind.name] for kind in kinds])
    return parts | {"budget": budget(budgets), "run": description(run)}


def entries(summary: pd.DataFrame, material: Material) -> str:
    """Return all entries of one kind of generator, mean (smallest to largest) over seeds."""
    extra = "conditional accuracy" if material.labelled else "Laplacian variance"
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
    """Return mean and, of several seeds, smallest and largest value."""
    mean = f"{row[name]:.3g}"
    if row["seeds"] < 2:
        return mean
    return f"{mean} ({row[f'{name}_min']:.3g} to {row[f'{name}_max']:.3g})"


def budget(generators: pd.DataFrame) -> str:
    """Return what is trained for how long, and how good the uncompressed generators are."""

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
