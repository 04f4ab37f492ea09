"""The tables of README.md, from the tables of results."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from experiments.benchmarks.families.material import Material
from experiments.benchmarks.families.tables import QUALITY
from experiments.study.markdown import markdown_table


def page_parts(
    summary: pd.DataFrame, materials: Sequence[Material], run: Mapping[str, Any]
) -> dict[str, str]:
    """Return the text of each marker of the page."""
    parts = {material.name: table(summary, material) for material in materials}
    return parts | {"budget": budget(materials, run), "run": description(run)}


def table(summary: pd.DataFrame, material: Material) -> str:
    """Return all entries of one kind of generator, mean (smallest to largest) over seeds."""
    extra = "conditional accuracy" if material.labelled else "Laplacian variance"
    column = "conditional_accuracy" if material.labelled else "laplacian_variance"
    head = (
        "family", "entry", "codec", "bytes", "ratio", "Fréchet, × uncompressed", "precision",
        "recall", "coverage", "inception-type score", extra, "PSNR, dB", "MACs, %",
        "MACs, zeros skipped, %", "speed, ×", "training, s",
    )  # fmt: skip
    part = summary[summary["data"] == material.name]
    rows = []
    for _, row in part.iterrows():
        teacher = row["dense_macs"] * row["macs_reduction"]
        stars = "**" if row["front_payload_bytes"] else ""
        rows.append(
            [
                str(row["family"]),
                f"{stars}{row['label']}{stars}",
                f"`{row['codec']}`",
                f"{row['payload_bytes']:,.0f}",
                f"{row['compression_ratio']:.1f}",
                spread(row, QUALITY),
                f"{row['precision']:.2f}",
                f"{row['recall']:.2f}",
                f"{row['coverage']:.2f}",
                f"{row['inception_score']:.2f}",
                f"{row[column]:.2f}",
                "∞" if math.isinf(row["psnr_db"]) else f"{row['psnr_db']:.1f}",
                f"{100 * row['dense_macs'] / teacher:.0f}",
                f"{100 * row['sparse_macs'] / teacher:.0f}",
                f"{row['speed_up']:.2f}",
                f"{row['train_cpu_s']:.1f}",
            ]
        )
    return markdown_table(head, rows)


def spread(row: Any, name: str) -> str:
    """Return mean and, of several seeds, smallest and largest value."""
    told = f"{row[name]:.3g}"
    if row["seeds"] < 2:
        return told
    return f"{told} ({row[f'{name}_min']:.3g} to {row[f'{name}_max']:.3g})"


def budget(materials: Sequence[Material], run: Mapping[str, Any]) -> str:
    """Return what is trained for how long, and how good the uncompressed generators are."""
    head = (
        "generator", "weights", "trained for, updates", "budget of a method, updates",
        "its learning rates, ×",        "Fréchet distance, uncompressed", "real against real",
    )  # fmt: skip
    rows = []
    for material in materials:
        told = run["generators"][material.name]
        rows.append(
            [
                material.title,
                f"{told['parameters']:,}" if told["parameters"] else "-",
                f"{material.base_iterations:,}",
                f"{material.iterations:,}",
                f"{material.rate:g}",
                ", ".join(f"{value:.3g}" for value in told["frechet_distance"]) or "-",
                "-" if told["real"] is None else f"{told['real']['frechet_distance']:.3g}",
            ]
        )
    return markdown_table(head, rows)


def description(run: Mapping[str, Any]) -> str:
    """Return command, machine, time and versions in a few lines."""
    versions = ", ".join(f"{name} {number}" for name, number in run["versions"].items())
    missing = run["cells"] - run["finished"]
    return (
        f"`{run['command']}`, {run['date']}: {run['finished']} of {run['cells']} cells"
        f"{' (' + str(missing) + ' not finished)' if missing else ''}, seeds "
        f"{', '.join(map(str, run['seeds']))}, {run['core_minutes']} core-minutes, one thread, on "
        f"{run['machine']}. {versions}."
    )
