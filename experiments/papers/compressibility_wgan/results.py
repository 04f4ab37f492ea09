"""Tables of the study from what its cells have left; pictures are in ``pictures.py``."""

import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.benchmarks.codec_measures import PUBLISHED_RATIOS
from experiments.papers.compressibility_wgan.cell import Cell
from experiments.papers.compressibility_wgan.html import write_html
from experiments.papers.compressibility_wgan.pages import page_parts
from experiments.papers.compressibility_wgan.pictures import write_pictures
from experiments.papers.compressibility_wgan.scoring import is_scored
from experiments.papers.compressibility_wgan.statistics import (
    ALL,
    MARGINS,
    judge_not_worse,
    largest_level,
    paired_differences,
    passing_levels,
    summarise,
    worse_from,
)
from experiments.study.markdown import fill_page
from experiments.study_files import machine
from flwr_gan import __version__
from flwr_gan.core.atomic import write_bytes, write_text
from flwr_gan.errors import OutputError

PAPERS_CODECS = {"zlib": "zlib:9", "lzma": "lzma:9", "bz2": "bz2:9", "paq9a": "paq9a:1"}
OWN_CODECS = ("sparse", "sparse:int8", "sparse:int6", "sparse:int4")
EXAMPLE_LEVELS = (0, 5, 10, 17)
PAGES = Path(__file__).parent
LIBRARIES = ("flwr", "torch", "numpy", "scikit-learn", "scipy", "pcodec", "zstandard")


def write_results(cells: Sequence[Cell], results: Path, *, command: str) -> Iterator[Path]:
    """Write every table and picture; yield their paths.

    Parameters
    ----------
    cells : sequence of Cell
        Parts of the study; those that are not finished are left out.
    results : Path
        Where tables and pictures go.
    command : str
        What was called, for ``run.json``.

    Raises
    ------
    OutputError
        If nothing is finished, or a file cannot be read or written.
    """
    cells = [cell for cell in cells if is_scored(cell)]
    if not cells:
        raise OutputError("no part of the study is finished: run it without --report first")
    quality = read_rows(cells, "quality.csv")
    codecs = average_codings(read_rows(cells, "codecs.csv"))
    layers = layer_sparsity(cells)
    verdicts = judge_not_worse(quality)
    tables = {
        "quality.csv": quality,
        "quality_summary.csv": summarise(quality),
        "not_worse.csv": verdicts,
        "controls.csv": control_differences(quality),
        "headline.csv": headline(verdicts, codecs),
        "codecs.csv": codecs,
        "table2.csv": table_2(codecs),
        "layers.csv": layers,
    }
    tables["signed_zeros.csv"] = signed_zeros(tables["table2.csv"])
    for name, table in tables.items():
        write_text(results / name, table.to_csv(index=False, float_format="%.5g"))
        yield results / name
    write_text(results / "run.json", json.dumps(describe(cells, command), indent=2) + "\n")
    yield results / "run.json"
    yield from write_pictures(cells, tables, results)
    yield from copy_generators(cells[0], results / "generators")
    for page, parts in page_parts(tables).items():
        fill_page(PAGES / page, parts, output=results.parent / page)
        yield results.parent / page
    page_path = cells[0].root / "report.html"
    write_html(page_path, tables, results)
    yield page_path


def copy_generators(cell: Cell, folder: Path) -> Iterator[Path]:
    """Copy a few payloads of one cell, for those who want to look into one without training."""
    for level in EXAMPLE_LEVELS:
        if level in cell.levels:
            path = folder / f"{cell.data}_p{level:02d}.fgan"
            write_bytes(path, cell.path("retrained", level).read_bytes())
            yield path


def read_rows(cells: Sequence[Cell], name: str) -> pd.DataFrame:
    """Return the rows of one table of all cells, with the cell's place in front."""
    parts = []
    for cell in cells:
        try:
            part = pd.read_csv(cell.folder / name)
        except (OSError, ValueError) as error:
            raise OutputError(f"{cell.folder / name} cannot be read: {error}") from error
        for position, (key, value) in enumerate(cell.place.items()):
            part.insert(position, key, value)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def average_codings(rows: pd.DataFrame) -> pd.DataFrame:
    """Return mean bytes, ratio (with its range) and change of output over seeds."""
    groups = rows.groupby(["data", "scope", "level", "zeros", "codec"], sort=False)
    return groups.agg(
        seeds=("seed", "nunique"),
        sparsity=("sparsity", "mean"),
        dense_bytes=("dense_bytes", "mean"),
        payload_bytes=("payload_bytes", "mean"),
        ratio=("ratio", "mean"),
        ratio_lowest=("ratio", "min"),
        ratio_highest=("ratio", "max"),
        output_change=("output_change", "mean"),
    ).reset_index()


def layer_sparsity(cells: Sequence[Cell]) -> pd.DataFrame:
    """Return weights and kept weights of each layer after each pruning, mean over seeds."""
    rows = []
    for cell in cells:
        for level in cell.levels[1:]:
            for name, array in cell.load("pruned", level).items():
                kept = int((array != 0).sum())
                row = {"level": level, "layer": name, "weights": array.size, "kept": kept}
                rows.append(cell.place | row)
    table = pd.DataFrame(rows)
    groups = table.groupby(["data", "scope", "layer", "weights", "level"], sort=False)
    return groups["kept"].mean().reset_index().assign(sparsity=lambda t: 1 - t.kept / t.weights)


def control_differences(quality: pd.DataFrame) -> pd.DataFrame:
    """Return each control's difference to the retrained ticket of its own level and seed."""
    ticket = {"kind": "retrained", "codec": "sparse"}
    chosen = quality[(quality["codec"] == "sparse") & (quality["level"] > 0)]
    table = paired_differences(chosen, ticket, same_level=True)
    return table[table["kind"] != "retrained"] if len(table) else table


def headline(verdicts: pd.DataFrame, codecs: pd.DataFrame) -> pd.DataFrame:
    """Return where quality is not worse, where it is worse, and what the generator takes there.

    Ratios are those of Alg. 2's generator at the largest P that passes by itself: the paper's way
    (lzma, zeros with signs), and ``sparse``, lossless and with 8 and 6 bits.
    """
    rows = []
    if verdicts.empty:
        return pd.DataFrame()
    lossless = verdicts[verdicts["codec"] == "sparse"]
    for (data, scope, kind), part in lossless.groupby(["data", "scope", "kind"], sort=False):
        if kind not in ("retrained", "pruned", "one_shot"):
            continue
        passing = passing_levels(part)
        row = {"data": data, "scope": scope, "kind": kind, "pairs": int(part["seeds"].min())}
        row |= {"not_worse_up_to": largest_level(part), "passing": " ".join(map(str, passing))}
        row["worse_from"] = worse_from(part)
        for measure in MARGINS:
            own = passing_levels(part[part["measure"] == measure])
            row[f"{measure}_passing"] = " ".join(map(str, own))
        here = codecs[(codecs["scope"] == scope) & (codecs["level"] == max(passing, default=0))]
        if data != ALL:
            here = here[here["data"] == data]
        row |= {"last_passing": max(passing, default=0), "sparsity": here["sparsity"].mean()}
        ratios = here.groupby(["zeros", "codec"])["ratio"].mean()
        row["lzma_signed_zeros"] = ratios.get(("signed", "lzma:9"))
        row |= {codec: ratios.get(("canonical", codec)) for codec in OWN_CODECS[:3]}
        rows.append(row)
    return pd.DataFrame(rows)


def table_2(codecs: pd.DataFrame) -> pd.DataFrame:
    """Return the paper's Table 2 with ours beside it, for global pruning."""
    rows = []
    for (data, p), part in codecs[codecs["scope"] == "global"].groupby(["data", "level"]):
        level = int(str(p))
        ratios = part.set_index(["zeros", "codec"])["ratio"]
        row: dict[str, Any] = {"data": data, "P": level, "pruned": part["sparsity"].iloc[0]}
        for name, spec in PAPERS_CODECS.items():
            published = PUBLISHED_RATIOS[name]
            row[f"{name}_paper"] = published[level] if level < len(published) else None
            row[f"{name}_signed"] = ratios.get(("signed", spec))
            row[f"{name}_canonical"] = ratios.get(("canonical", spec))
        rows.append(row | {spec: ratios.get(("canonical", spec)) for spec in OWN_CODECS})
    return pd.DataFrame(rows)


def signed_zeros(table: pd.DataFrame) -> pd.DataFrame:
    """Return the bits that LZMA spends on each pruned weight beyond what the numbers need.

    With share rho pruned, survivors as plain float32 and a mask of the largest entropy take
    32 (1 - rho) + H(rho) bits a weight, computed. What a coder of either kind takes beyond that,
    divided by rho, is what it pays for pruned weights: noise, for a zero says nothing. Negative
    where survivors were coded below 32 bits.

    Parameters
    ----------
    table : pandas.DataFrame
        What ``table_2`` returns.
    """
    rows = []
    for level, part in table[table["P"] > 0].groupby("P"):
        rho = float(part["pruned"].mean())
        entropy = -(rho * np.log2(rho) + (1 - rho) * np.log2(1 - rho))
        needed = 32 * (1 - rho) + entropy
        row: dict[str, Any] = {"P": level, "pruned": rho, "needed_bits_per_weight": needed}
        for source in ("paper", "signed", "canonical"):
            bits = 32 / part[f"lzma_{source}"].astype(float).mean()
            row[f"{source}_bits_per_weight"] = bits
            row[f"{source}_bits_per_pruned_weight"] = (bits - needed) / rho
        rows.append(row)
    return pd.DataFrame(rows)


def describe(cells: Sequence[Cell], command: str) -> dict[str, Any]:
    """Return what was run, with what and on what."""
    config = cells[0].config
    return {
        "command": command,
        "date": datetime.now(UTC).date().isoformat(),
        "cells": [cell.name for cell in cells],
        "gan": asdict(config.gan),
        "lottery": asdict(config.lottery),
        "margins": MARGINS,
        "machine": machine(),
        "versions": {
            "flwr_gan": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in LIBRARIES},
        },
    }
