"""The tables of README.md and SIGNED_ZEROS.md, from the tables of results."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd

from experiments.papers.compressibility_wgan.cases import KINDS
from experiments.papers.compressibility_wgan.measuring import LOSSLESS, LOSSY
from experiments.papers.compressibility_wgan.statistics import ALL, MARGINS, passing_levels
from experiments.study.markdown import Cell, Columns, cell, markdown_table, number, page_table
from experiments.study.statistics import where

TABLE_2_DATA = "strokes"
SHOWN = (0, 1, 5, 10, 15, 17)
CONTROLS_SHOWN = (10, 17)
NAMES = {
    "conditional_accuracy": "conditional accuracy",
    "synthetic_accuracy": "synthetic accuracy",
    "coverage": "coverage",
    "frechet_distance": "Fréchet distance",
}
_CODECS = {"zlib": "zlib", "lzma": "LZMA", "bz2": "bzip2", "paq9a": "paq9a"}


def page(tables: Mapping[str, pd.DataFrame], run: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each marker of both pages."""
    return {
        "headline": headline(tables["headline.csv"]),
        "table 2": table_2(tables["table2.csv"]),
        "quality": quality(tables["quality_summary.csv"]),
        "controls": controls(tables["controls.csv"]),
        "lossy": lossy(tables["not_worse.csv"], tables["codecs.csv"]),
        "scopes": scopes(tables["quality_summary.csv"], tables["layers.csv"]),
        "bits": bits(tables["signed_zeros.csv"]),
        "ratios": zero_ratios(tables["table2.csv"]),
    }


def headline(table: pd.DataFrame) -> str:
    """Return the P at which quality is not worse, or is worse, and ratios at the last passing P.

    The ratios are lossless; the quality of lossy codes is in another table.
    """
    ratios = ("lzma_signed_zeros", "sparse")
    head = (
        "data", "generator after P", "pairs", "not worse up to P", "levels that pass by themselves",
        "shown worse from P", "at the last that passes", "pruned", "LZMA as in the paper",
        "`sparse`",
    )  # fmt: skip
    rows = []
    for _, row in where(table, scope="global").iterrows():
        last = int(row["last_passing"])
        cells = [f"P = {last}", f"{100 * row['sparsity']:.1f} %"]
        cells += [f"{row[key]:.1f}" for key in ratios]
        rows.append(
            [
                "all together" if row["data"] == ALL else str(row["data"]),
                KINDS[row["kind"]],
                str(int(row["pairs"])),
                f"**{int(row['not_worse_up_to'])}**",
                ranges([int(p) for p in str(row["passing"]).split() if p != "nan"]) or "none",
                "-" if pd.isna(row["worse_from"]) else str(int(row["worse_from"])),
                *(cells if last else ["-"] * len(cells)),
            ]
        )
    return markdown_table(head, rows)


def ranges(levels: Sequence[int]) -> str:
    """Return increasing numbers as text, with runs of three or more shortened: ``2, 5-9``."""
    runs: list[list[int]] = []
    for level in levels:
        if runs and level == runs[-1][-1] + 1:
            runs[-1].append(level)
        else:
            runs.append([level])
    parts = [f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    return ", ".join(parts)


def table_2(table: pd.DataFrame) -> str:
    """Return the paper's Table 2: published / with signed zeros / without signs, and ``sparse``."""
    head = ("P", "pruned", *_CODECS.values(), "`sparse`")
    rows = []
    for _, row in where(table, data=TABLE_2_DATA).sort_values("P").iterrows():
        cells = [*map(partial(_three_ratios, row), _CODECS), cell(row, ("sparse", 2))]
        rows.append([str(int(row["P"])), f"{100 * row['pruned']:.2f} %", *cells])
    return markdown_table(head, rows)


def quality(summary: pd.DataFrame) -> str:
    """Return every measure of both readings at some P, of the dense generator and of real data."""
    head = ("data", "generator", "P", *NAMES.values())
    rows = []
    chosen = where(summary, scope="global", codec="sparse")
    for data in dict.fromkeys(chosen["data"]):
        for kind in ("real", "retrained", "pruned"):
            part = where(chosen, data=data, kind=kind).sort_values("level")
            for _, row in part[part["level"].isin(SHOWN)].iterrows():
                dense = kind == "retrained" and row["level"] == 0
                name = "real samples, unseen" if kind == "real" else KINDS[kind]
                rows.append(
                    [
                        str(data),
                        "dense generator" if dense else name,
                        "" if kind == "real" else str(int(row["level"])),
                        *(_with_width(row, measure) for measure in NAMES),
                    ]
                )
    return markdown_table(head, rows)


def controls(table: pd.DataFrame) -> str:
    """Return each control's difference to the retrained ticket at the same P."""
    kinds = ("pruned", "reinitialised", "random_mask", "one_shot")
    measures = ("synthetic_accuracy", "conditional_accuracy", "coverage")
    head = ("data", "against the retrained ticket", "P", *(NAMES[name] for name in measures))
    rows = []
    chosen = where(table, scope="global")
    for (data, kind, level), part in _grouped(chosen, ["data", "kind", "level"]):
        if kind in kinds and level in CONTROLS_SHOWN:
            differences = part.set_index("measure")
            cells = [difference(differences.loc[name]) for name in measures]
            rows.append([data, KINDS[kind], str(level), *cells])
    return markdown_table(head, rows)


def lossy(verdicts: pd.DataFrame, codecs: pd.DataFrame) -> str:
    """Return the levels at which the retrained ticket passes after each code, and its ratios.

    A ratio is shown only for a level that passes, with the differences measured at that level.
    """
    head = (
        "data", "codec", "levels that pass by themselves", "at the last", "ratio",
        *(NAMES[name] for name in MARGINS),
    )  # fmt: skip
    rows = []
    own = where(codecs, scope="global", zeros="canonical", kind="retrained")
    ratios = own.set_index(["data", "level", "codec"])["ratio"]
    chosen = where(verdicts, scope="global", kind="retrained")
    for (data, codec), part in _grouped(chosen, ["data", "codec"]):
        if data == ALL or codec not in (LOSSLESS, *LOSSY):
            continue
        levels = passing_levels(part, dense=codec != LOSSLESS)
        cells = ["-"] * (2 + len(MARGINS))
        if levels:
            differences = where(part, level=levels[-1]).set_index("measure")
            ratio = ratios.get((data, levels[-1], codec), float("nan"))
            cells = [f"P = {levels[-1]}", number(ratio, 1)]
            cells += [difference(differences.loc[name]) for name in MARGINS]
        rows.append([data, f"`{codec}`", ranges(levels) or "none", *cells])
    return markdown_table(head, rows)


def scopes(summary: pd.DataFrame, layers: pd.DataFrame) -> str:
    """Return quality and kept weights per layer of global and local pruning."""
    head = ("data", "pruning", "P", "synthetic accuracy", "Fréchet distance", "weights kept")
    rows = []
    chosen = where(summary, kind="retrained", codec="sparse")
    for (data, level, scope), part in _grouped(chosen, ["data", "level", "scope"]):
        if level in SHOWN[2:] and "local" in set(where(summary, data=data)["scope"]):
            here = where(layers, data=data, scope=scope, level=level)
            kept = ", ".join(
                f"{str(layer.layer).removesuffix('.weight')} {layer.kept:.0f} of {layer.weights}"
                for layer in here.itertuples()
            )
            row = part.iloc[0]
            measures = [
                _with_width(row, name) for name in ("synthetic_accuracy", "frechet_distance")
            ]
            rows.append([data, scope, str(level), *measures, kept])
    return markdown_table(head, rows)


def bits(table: pd.DataFrame) -> str:
    """Return the bits of LZMA for a pruned weight, from the paper's table and from ours."""
    sources = {"paper": "paper", "signed": "ours, signed", "canonical": "ours, no signs"}

    def beyond(source: str) -> Cell:
        return lambda row: f"{row[f'{source}_bits_per_pruned_weight']:+.2f}"

    columns: Columns = [
        ("P", lambda row: str(int(row["P"]))),
        ("pruned (ρ)", lambda row: f"{100 * row['pruned']:.1f} %"),
        ("needed: 32 (1 - ρ) + H(ρ)", ("needed_bits_per_weight", 2)),
        *((title, (f"{name}_bits_per_weight", 2)) for name, title in sources.items()),
        *((f"{title}, beyond need", beyond(name)) for name, title in sources.items()),
    ]
    return page_table(table, columns)


def zero_ratios(table: pd.DataFrame) -> str:
    """Return ratios with and without signs of zeros at P = 17, or at the last P."""
    head = ("data", "P", *(f"{name}: published / signed / no signs" for name in _CODECS.values()))
    rows = []
    for data, part in _grouped(table, "data"):
        row = part.sort_values("P").iloc[-1]
        rows.append([data, str(int(row["P"])), *map(partial(_three_ratios, row), _CODECS)])
    return markdown_table(head, rows)


def _grouped(table: pd.DataFrame, by: str | list[str]) -> list[tuple[Any, Any]]:
    return list(table.groupby(by, sort=False)) if len(table) else []


def _three_ratios(row: Any, codec: str) -> str:
    """Return a codec's ratios: published, with signed zeros, without signs."""
    return " / ".join(cell(row, (f"{codec}_{s}", 2)) for s in ("paper", "signed", "canonical"))


def _with_width(row: Any, measure: str) -> str:
    if pd.isna(row[measure]):
        return ""
    half = row[f"{measure}_half_width"]
    digits = 2 if measure == "frechet_distance" else 3
    width = "" if pd.isna(half) or half < 1e-9 else f" ± {half:.{digits}f}"
    return f"{row[measure]:.{digits}f}{width}"


def difference(row: Any) -> str:
    """Return a mean difference and the ends of its interval, if it has one."""
    mean = f"{row['difference']:+.3f}"
    return mean if pd.isna(row["low"]) else f"{mean} ({row['low']:+.3f} to {row['high']:+.3f})"
