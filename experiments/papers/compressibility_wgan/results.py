"""Tables of the study from the records of its cases; pictures are in ``pictures.py``."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.benchmarks.codec_measures import PUBLISHED_RATIOS
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
from experiments.study.cases import Record, all_rows
from experiments.study.statistics import where
from flwr_gan.app.generator_file import GeneratorInfo
from flwr_gan.core.atomic import write_bytes

PAPERS_CODECS = {"zlib": "zlib:9", "lzma": "lzma:9", "bz2": "bz2:9", "paq9a": "paq9a:1"}
EXAMPLE_LEVELS = (0, 5, 10, 17)


def tables(records: Sequence[Record]) -> dict[str, pd.DataFrame]:
    """Return every table of the study."""
    quality, codings, layers = (
        all_rows(records, name) for name in ("quality", "codings", "layers")
    )
    codecs, verdicts = average_codings(codings), judge_not_worse(quality)
    table2 = table_2(codecs)
    return {
        "quality.csv": quality,
        "quality_summary.csv": summarise(quality),
        "not_worse.csv": verdicts,
        "controls.csv": control_differences(quality),
        "headline.csv": headline(verdicts, codecs),
        "codecs.csv": codecs,
        "table2.csv": table2,
        "layers.csv": layer_sparsity(layers),
        "signed_zeros.csv": signed_zeros(table2),
    }


def copy_generators(records: Sequence[Record], results: Path) -> None:
    """Copy a few payloads of one case, so that readers can inspect them without training."""
    cell = records[0].case.cell(records[0].folder)
    for level in EXAMPLE_LEVELS:
        if level in cell.levels:
            path = results / "generators" / f"{cell.data}_p{level:02d}.fgan"
            write_bytes(path, cell.path("retrained", level).read_bytes())
    GeneratorInfo.of(cell.federation).write(results / "generators")


def facts(records: Sequence[Record]) -> Mapping[str, Any]:
    """Return the hyperparameters and the margins."""
    config = records[0].case.cell(records[0].folder).config
    lottery = asdict(config.lottery)
    return {"gan": asdict(config.gan), "lottery": lottery, "margins": MARGINS}


def average_codings(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the means over seeds of bytes, ratio (with its range) and change of output."""
    groups = rows.groupby(["data", "scope", "kind", "level", "zeros", "codec"], sort=False)
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


def layer_sparsity(layers: pd.DataFrame) -> pd.DataFrame:
    """Return weights and kept weights of each layer after each pruning, mean over seeds."""
    groups = layers.groupby(["data", "scope", "layer", "weights", "level"], sort=False)
    return groups["kept"].mean().reset_index().assign(sparsity=lambda t: 1 - t.kept / t.weights)


def control_differences(quality: pd.DataFrame) -> pd.DataFrame:
    """Return each control's difference to the retrained ticket of the same level and seed."""
    ticket = {"kind": "retrained", "codec": "sparse"}
    chosen = quality[(quality["codec"] == "sparse") & (quality["level"] > 0)]
    table = paired_differences(chosen, ticket, same_level=True)
    return table[table["kind"] != "retrained"] if len(table) else table


def headline(verdicts: pd.DataFrame, codecs: pd.DataFrame) -> pd.DataFrame:
    """Return the P at which quality is not worse, or is worse, and the generator's ratios.

    Ratios are those of the same generator at the largest P that passes by itself: by the paper's
    method (lzma, zeros with signs) and by ``sparse``, both lossless.
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
        last = max(passing, default=0)
        here = where(codecs, scope=scope, level=last)
        if data != ALL:
            here = where(here, data=data)
        row |= {"last_passing": last, "sparsity": here["sparsity"].mean()}
        coded = where(here, kind=kind if last else "retrained")
        ratios = coded.groupby(["zeros", "codec"])["ratio"].mean()
        row["lzma_signed_zeros"] = ratios.get(("signed", "lzma:9"))
        row["sparse"] = ratios.get(("canonical", "sparse"))
        rows.append(row)
    return pd.DataFrame(rows)


def table_2(codecs: pd.DataFrame) -> pd.DataFrame:
    """Return the paper's Table 2 and ours, for global pruning and Alg. 2 as printed."""
    rows = []
    as_printed = (codecs["kind"] == "pruned") | (codecs["level"] == 0)
    chosen = codecs[as_printed & (codecs["scope"] == "global")]
    for (data, p), part in chosen.groupby(["data", "level"]):
        level = int(str(p))
        ratios = part.set_index(["zeros", "codec"])["ratio"]
        row: dict[str, Any] = {"data": data, "P": level, "pruned": part["sparsity"].iloc[0]}
        for name, spec in PAPERS_CODECS.items():
            published = PUBLISHED_RATIOS[name]
            row[f"{name}_paper"] = published[level] if level < len(published) else None
            row[f"{name}_signed"] = ratios.get(("signed", spec))
            row[f"{name}_canonical"] = ratios.get(("canonical", spec))
        rows.append(row | {"sparse": ratios.get(("canonical", "sparse"))})
    return pd.DataFrame(rows)


def signed_zeros(table: pd.DataFrame) -> pd.DataFrame:
    """Return the bits that LZMA spends on each pruned weight beyond the entropy.

    With share rho pruned, survivors as plain float32 and a mask of the largest entropy take
    32 (1 - rho) + H(rho) bits per weight, computed. The excess of each coder over that, divided by
    rho, is its cost per pruned weight, which carries no information. It is negative if survivors
    were coded below 32 bits.
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
