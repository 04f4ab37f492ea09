"""Writes the tables, the pictures and the page from finished cells."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.benchmarks.families.bases import base_folder
from experiments.benchmarks.families.entries import REFERENCE
from experiments.benchmarks.families.material import Material
from experiments.benchmarks.families.pages import page_parts
from experiments.benchmarks.families.pictures import AXES, write_pictures
from experiments.benchmarks.families.reference import read_real
from experiments.benchmarks.families.study import Plan
from experiments.benchmarks.families.tables import read_rows, summarise
from experiments.report.page import Picture, Section, Table, write_page
from experiments.study_files import machine, today, versions, write_parts
from flwr_gan.core.atomic import write_text
from flwr_gan.errors import OutputError

PAGE = Path(__file__).parent / "README.md"
RESULTS = Path(__file__).parent / "results" / "rows.csv"
REPORT = "report.html"
_LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "pandas")
_SHOWN = [
    "data", "family", "label", "codec", "payload_bytes", "compression_ratio", "frechet_ratio",
    "precision", "recall", "coverage", "inception_score", "psnr_db", "dense_macs", "sparse_macs",
    "speed_up", "train_cpu_s", "seeds",
]  # fmt: skip


def write_results(plan: Plan, folder: Path, output: Path, *, command: str) -> Iterator[Path]:
    """Write every table and picture; yield their paths.

    The page beside this file is filled anew where ``output`` is the file beside it too. A page of
    its own, in HTML, goes to the run folder.

    Parameters
    ----------
    plan : Plan
        Cells that are not finished are left out.
    folder : Path
        Where the run is.
    output : Path
        The table with a row a cell; all else goes beside it.
    command : str
        What was called.

    Raises
    ------
    OutputError
        If nothing is finished, or a file cannot be read or written.
    """
    rows = read_rows(plan, folder)
    if not len(rows):
        raise OutputError(f"no cell in {folder} is finished: run it without --report first")
    results, summary = output.parent, summarise(rows)
    run = describe(plan, rows, folder, command=command)
    for path, table in ((output, rows), (results / "summary.csv", summary)):
        write_text(path, table.to_csv(index=False, float_format="%.6g"))
        yield path
    write_text(results / "run.json", json.dumps(run, indent=2) + "\n")
    yield results / "run.json"
    pictures = list(write_pictures(plan, summary, folder, results))
    yield from pictures
    write_page(folder / REPORT, "Families of compression", _sections(summary, pictures))
    yield folder / REPORT
    parts = page_parts(summary, plan.materials, run)
    committed = output.resolve() == RESULTS.resolve()
    yield write_parts(parts, results, PAGE, committed=committed)


def describe(plan: Plan, rows: pd.DataFrame, folder: Path, *, command: str) -> dict[str, Any]:
    """Return what was run, with what, on what, and for how long."""
    trained = [
        json.loads(path.read_text(encoding="utf-8"))["train_cpu_s"]
        for material in plan.materials
        for seed in plan.seeds
        if (path := base_folder(folder, material, seed) / "training.json").exists()
    ]
    return {
        "command": command,
        "date": today(),
        "cells": len(plan),
        "finished": len(rows),
        "seeds": sorted(int(seed) for seed in rows["seed"].unique()),
        "generators": {material.name: _told(material, rows, folder) for material in plan.materials},
        "core_minutes": round((rows["cell_cpu_s"].sum() + sum(trained)) / 60, 1),
        "machine": machine(),
        "versions": versions(_LIBRARIES),
    }


def _told(material: Material, rows: pd.DataFrame, folder: Path) -> dict[str, Any]:
    part = rows[(rows["data"] == material.name) & (rows["entry"] == REFERENCE)]
    return {
        "parameters": int(part["parameters"].iloc[0]) if len(part) else 0,
        "frechet_distance": [float(f"{value:.6g}") for value in part["frechet_distance"]],
        "real": read_real(folder, material),
    }


def _sections(summary: pd.DataFrame, pictures: list[Path]) -> list[Section]:
    titles = {f"front_{axis.title}.png": axis.label for axis in AXES}
    fronts = [
        Picture(path, f"Scatter plot of quality against {titles[path.name]}, a panel a generator")
        for path in pictures
        if path.name in titles
    ]
    grids = [
        Picture(path, f"Samples of chosen entries, a row each: {path.stem}")
        for path in pictures
        if path.name not in titles
    ]
    table = Table(summary[_SHOWN], "Means over seeds; lower is better for the Fréchet ratio")
    return [
        *(Section(f"Quality against {picture.alt.split('against ')[1]}", picture)
          for picture in fronts),
        Section("Samples", *grids),
        Section("All entries", table),
    ]  # fmt: skip
