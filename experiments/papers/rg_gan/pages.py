"""The tables of README.md, from the tables of results."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from experiments.papers.rg_gan.setting import ABLATION, FAMILIES, METHODS, TICKETS, VARIANTS
from experiments.study.markdown import markdown_table

PAPERS_TABLE_5 = {
    ("dense", "best"): (40.0, 1.35, 17.74),
    ("ticket20", "best"): (92.5, 2.60, 18.96),
    ("ticket46", "best"): (150.0, 3.46, 18.22),
    ("regan", "best"): (31.5, 1.03, 17.87),
    ("rg", "sparse"): (31.5, 1.06, 15.64),
    ("rg", "dense"): (36.0, 1.21, 17.24),
}
"""Its real images in millions, operations in 1e17, and FID, of SNGAN on CIFAR-10."""

_OUTPUT_TITLES = {"sparse": ", sparse output", "dense": ", dense output"}


def page_parts(tables: Mapping[str, pd.DataFrame], run: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each marker of the page."""
    summary = tables["summary.csv"]
    return {
        "table 5": table_5(summary),
        "data": by_data(summary),
        "augmentation": by_augmentation(summary),
        "ablation": ablation(summary),
        "differences": differences(tables["differences.csv"]),
        "run": description(run),
    }


def table_5(summary: pd.DataFrame) -> str:
    """Return the rows of the paper's Table 5 for each kind of GAN, the paper's figures beside."""
    head = (
        "GAN", "trained as", "seeds", "paper: real images, M", "operations, 1e17", "FID",
        "ours: real images, K", "operations (computed), 1e12", "without masked (computed)",
        "Fréchet distance", "coverage", "generator pruned, %", "critic pruned, %",
    )  # fmt: skip
    rows = []
    for family in _families(summary):
        part = _whole(summary, family)
        for (method, output), paper in PAPERS_TABLE_5.items():
            found = part[(part["method"] == method) & (part["output"] == output)]
            for _, row in found.iterrows():
                printed = [f"{value:g}" for value in paper] if family == "sngan" else ["", "", ""]
                rows.append([
                    _short(family), METHODS[method].title + _OUTPUT_TITLES.get(output, ""),
                    str(row["seeds"]), *printed,
                    _number(row, "images", 1, scale=1e-3),
                    _number(row, "flops_dense_computed", 2, scale=1e-12),
                    _number(row, "flops_masked_computed", 2, scale=1e-12),
                    _number(row, "frechet_distance", 1), _number(row, "coverage", 2),
                    _number(row, "generator_sparsity", 1, scale=100),
                    _number(row, "critic_sparsity", 1, scale=100),
                ])  # fmt: skip
    return markdown_table(head, rows)


def by_data(summary: pd.DataFrame) -> str:
    """Return dense and RG-GAN for each amount of data, without augmentation."""
    head = ("GAN", "training samples", "dense: Fréchet distance", "RG-GAN", "dense: coverage",
            "RG-GAN", "dense: real images until then, K", "RG-GAN")  # fmt: skip
    best = summary[(summary["output"] == "best") & ~summary["augmented_data"]]
    rows = []
    for family in _families(best):
        part = best[best["family"] == family]
        for samples in sorted(set(part["samples"]), reverse=True):
            own = part[part["samples"] == samples].set_index("method")
            cells = []
            for name, digits, scale in (
                ("frechet_distance", 1, 1.0), ("coverage", 2, 1.0), ("images", 1, 1e-3),
            ):  # fmt: skip
                for method in ("dense", "rg"):
                    cells.append(_cell(own, method, name, digits, scale))
            rows.append([_short(family), f"{samples:,}", *cells])
    return markdown_table(head, rows)


def by_augmentation(summary: pd.DataFrame) -> str:
    """Return dense and RG-GAN with and without differentiable augmentation."""
    head = ("GAN", "training samples", "dense", "dense + DA", "RG-GAN", "RG-GAN + DA")
    best = summary[summary["output"] == "best"]
    with_both = best[best["augmented_data"]][["family", "samples"]].drop_duplicates()
    rows = []
    for family, samples in with_both.itertuples(index=False):
        part = best[(best["family"] == family) & (best["samples"] == samples)]
        cells = [
            _cell(
                part[part["augmented_data"] == augmented].set_index("method"), method,
                "frechet_distance", 1, 1.0,
            )
            for method in ("dense", "rg")
            for augmented in (False, True)
        ]  # fmt: skip
        rows.append([_short(str(family)), f"{samples:,}", *cells])
    return markdown_table(head, rows)


def ablation(summary: pd.DataFrame) -> str:
    """Return what each part adds, and the two other readings of the paper."""
    head = ("trained as", "seeds", "Fréchet distance", "coverage", "generator pruned, %",
            "critic pruned, %", "at the last update: Fréchet distance")  # fmt: skip
    part = _whole(summary, "sngan")
    rows = []
    for method in ("dense", *ABLATION, "rg", *VARIANTS):
        own = part[part["method"] == method].set_index("output")
        if "best" not in own.index:
            continue
        row = own.loc["best"]
        title = "DP + RR + AR, both (RG-GAN)" if method == "rg" else METHODS[method].title
        cells = [_number(row, "frechet_distance", 1), _number(row, "coverage", 2)]
        cells += [_number(row, f"{n}_sparsity", 1, scale=100) for n in ("generator", "critic")]
        last = _number(own.loc["last"], "frechet_distance", 1)
        rows.append([title, str(row["seeds"]), *cells, last])
    return markdown_table(head, rows)


def differences(table: pd.DataFrame) -> str:
    """Return each method minus the dense GAN of the same data and seed."""
    head = ("GAN", "trained as", "training samples", "DA", "seeds", "Fréchet distance", "ratio",
            "seeds with a lower one", "coverage")  # fmt: skip
    rows = []
    for _, row in table.iterrows():
        if row["method"] not in ("rg", "regan", *TICKETS):
            continue
        rows.append([
            _short(row["family"]), METHODS[row["method"]].title, f"{row['samples']:,}",
            "yes" if row["augmented_data"] else "", str(row["seeds"]),
            _number(row, "frechet_distance", 1, sign="+"), _number(row, "ratio", 2),
            str(row["better_seeds"]), _number(row, "coverage", 2, sign="+"),
        ])  # fmt: skip
    return markdown_table(head, rows)


def description(run: Mapping[str, Any]) -> str:
    """Return command, machine, time and versions in a few lines."""
    versions = ", ".join(f"{name} {number}" for name, number in run["versions"].items())
    seeds = ", ".join(map(str, run["seeds"]))
    missing = (
        f"{len(run['missing'])} runs, named in [run.json](results/run.json)"
        if run["missing"]
        else "nothing"
    )
    families = "; ".join(
        f"{settings['title']}: {settings['gan']['iterations']:,} generator updates, "
        f"batch {settings['gan']['batch_size']}, lambda {settings['strength']:g}, "
        f"pace {settings['pace']:g}"
        for settings in run["families"].values()
    )
    return (
        f"`{run['command']}`, {run['date']}: {run['runs']} runs, seeds {seeds}, "
        f"{run['core_minutes']} core-minutes, one thread, on {run['machine']}.\n\n{families}.\n\n"
        f"{versions}.\n\nNot run: {missing}."
    )


def _families(table: pd.DataFrame) -> list[str]:
    return [name for name in FAMILIES if name in set(table["family"])]


def _whole(summary: pd.DataFrame, family: str) -> pd.DataFrame:
    """Return the rows with all data and no augmentation."""
    part = summary[(summary["family"] == family) & ~summary["augmented_data"].astype(bool)]
    whole: pd.DataFrame = part[part["samples"] == part["samples"].max()]
    return whole


def _short(family: str) -> str:
    return FAMILIES[family].title.split(",")[0]


def _cell(own: pd.DataFrame, method: str, name: str, digits: int, scale: float) -> str:
    return _number(own.loc[method], name, digits, scale=scale) if method in own.index else "-"


def _number(row: Any, name: str, digits: int, *, scale: float = 1.0, sign: str = "") -> str:
    if pd.isna(row[name]):
        return "-"
    half = row[f"{name}_half_width"]
    width = "" if pd.isna(half) else f" ± {scale * half:.{digits}f}"
    return f"{scale * row[name]:{sign}.{digits}f}{width}"
