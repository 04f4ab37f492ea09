"""Tables of the study from the results of finished runs, and those of README.md."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from experiments.papers.rg_gan.setting import ABLATION, FAMILIES, METHODS, TICKETS, VARIANTS
from experiments.study.cases import Record, all_rows
from experiments.study.markdown import Columns, cell, markdown_table, page_table
from experiments.study.results import description
from experiments.study.statistics import average, differences, intervals

PLACE = ("family", "method", "samples", "augmented_data")
_LAYERS = ("generator_layers", "critic_layers")
PAPERS_TABLE_5 = {
    ("dense", "best"): (40.0, 1.35, 17.74),
    ("ticket20", "best"): (92.5, 2.60, 18.96),
    ("ticket46", "best"): (150.0, 3.46, 18.22),
    ("regan", "best"): (31.5, 1.03, 17.87),
    ("rg", "sparse"): (31.5, 1.06, 15.64),
    ("rg", "dense"): (36.0, 1.21, 17.24),
}
"""The paper's real images in millions, operations in 1e17 and FID, for SNGAN on CIFAR-10."""
_OUTPUT_TITLES = {"sparse": ", sparse output", "dense": ", dense output"}
_QUALITY = [("Fréchet distance", ("frechet_distance", 1)), ("coverage", ("coverage", 2))]
_PRUNED = [
    ("generator pruned, %", ("generator_sparsity", 1, 0.01)),
    ("critic pruned, %", ("critic_sparsity", 1, 0.01)),
]


def tables(records: Sequence[Record]) -> dict[str, pd.DataFrame]:
    """Return outputs of runs, means over seeds, differences, checks of quality, and layers."""
    runs = output_rows(records)
    keys = [*PLACE, "output"]
    measured = [str(name) for name in runs if name not in (*keys, "seed", "phase")]
    checks = all_rows(records, "checks")
    columns = [*PLACE, "seed", "update", "network", "layer", "sparsity"]
    return {
        "runs.csv": runs,
        "summary.csv": average(runs, keys, measured),
        "differences.csv": to_dense(runs),
        "checks.csv": checks.drop(columns=list(_LAYERS)),
        "layers.csv": pd.DataFrame(layer_rows(records), columns=columns),
    }


def output_rows(records: Sequence[Record]) -> pd.DataFrame:
    """Return one row per output of a run: the best generator, the best of each phase, the last."""
    return pd.DataFrame(
        {**record.case.place, "output": output, **scores, "cpu_s": record.cpu_s}
        for record in records
        for output, scores in record.result["outputs"].items()
    )


def layer_rows(records: Sequence[Record]) -> Iterator[dict[str, Any]]:
    """Yield the sparsity of each layer at the checks of sparse phases of RG-GAN."""
    for record in records:
        for check in record.rows("checks"):
            if check["phase"] != "sparse" or check["method"] != "rg":
                continue
            for name in _LAYERS:
                for at, sparsity in enumerate(check[name], start=1):
                    layer = {"network": name.removesuffix("_layers"), "layer": at}
                    yield {**record.case.place, "update": check["update"], **layer,
                           "sparsity": sparsity}  # fmt: skip


def to_dense(runs: pd.DataFrame) -> pd.DataFrame:
    """Return each method's best generator minus the dense GAN's of the same data and seed."""

    def ratios(own: pd.DataFrame, dense: pd.DataFrame) -> dict[str, float]:
        ratio = own[["frechet_distance"]] / dense[["frechet_distance"]]
        found = intervals(ratio.rename(columns={"frechet_distance": "ratio"}))
        return found | {"better_seeds": int((ratio["frechet_distance"] < 1).sum())}

    best = runs[runs["output"] == "best"]
    return differences(
        best, best["method"] == "dense", groups=PLACE, more=ratios,
        pair=["family", "samples", "augmented_data", "seed"],
        measures=["frechet_distance", "coverage", "recall"],
    )  # fmt: skip


def facts(records: Sequence[Record]) -> Mapping[str, Any]:
    """Return the settings of each kind of GAN."""
    settings = {record.case.family: record.case.family_settings for record in records}
    return {"families": {name: asdict(family) for name, family in settings.items()}}


def page(tables: Mapping[str, pd.DataFrame], run: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each marker of the page."""
    summary = tables["summary.csv"]
    families = "; ".join(
        f"{settings['title']}: {settings['gan']['iterations']:,} generator updates, "
        f"batch {settings['gan']['batch_size']}, lambda {settings['strength']:g}, "
        f"pace {settings['pace']:g}"
        for settings in run["families"].values()
    )
    return {
        "table 5": table_5(summary),
        "data": by_data(summary),
        "augmentation": by_augmentation(summary),
        "ablation": ablation(summary),
        "differences": difference_table(tables["differences.csv"]),
        "run": description(run, f"{families}."),
    }


def table_5(summary: pd.DataFrame) -> str:
    """Return the rows of the paper's Table 5 for each kind of GAN, beside the paper's figures."""
    rows = []
    for family in families_of(summary):
        part = with_all_data(summary, family)
        for (method, output), paper in PAPERS_TABLE_5.items():
            found = part[(part["method"] == method) & (part["output"] == output)]
            title = METHODS[method].title + _OUTPUT_TITLES.get(output, "")
            printed = [f"{value:g}" if family == "sngan" else "" for value in paper]
            names = zip(("title", "images_p", "operations_p", "fid_p"), (title, *printed),
                        strict=True)  # fmt: skip
            rows.append(found.assign(**dict(names)))
    columns: Columns = [
        ("GAN", _short), ("trained as", "title"), ("seeds", "seeds"),
        ("paper: real images, M", "images_p"), ("operations, 1e17", "operations_p"),
        ("FID", "fid_p"), ("ours: real images, K", ("images", 1, 1e3)),
        ("operations (computed), 1e12", ("flops_dense_computed", 2, 1e12)),
        ("without masked (computed)", ("flops_masked_computed", 2, 1e12)),
        *_QUALITY, *_PRUNED,
    ]  # fmt: skip
    return page_table(pd.concat(rows), columns)


def by_data(summary: pd.DataFrame) -> str:
    """Return results of dense and RG-GAN for each amount of data, without augmentation."""
    head = ("GAN", "training samples", "dense: Fréchet distance", "RG-GAN", "dense: coverage",
            "RG-GAN", "dense: real images until then, K", "RG-GAN")  # fmt: skip
    best = summary[(summary["output"] == "best") & ~summary["augmented_data"]]
    rows = []
    for family in families_of(best):
        part = best[best["family"] == family]
        for samples in sorted(set(part["samples"]), reverse=True):
            own = part[part["samples"] == samples].set_index("method")
            measures = [("frechet_distance", 1), ("coverage", 2), ("images", 1, 1e3)]
            cells = [_cell(own, m, spec) for spec in measures for m in ("dense", "rg")]
            rows.append([_title(family), f"{samples:,}", *cells])
    return markdown_table(head, rows)


def by_augmentation(summary: pd.DataFrame) -> str:
    """Return results of dense and RG-GAN with and without differentiable augmentation."""
    head = ("GAN", "training samples", "dense", "dense + DA", "RG-GAN", "RG-GAN + DA")
    best = summary[summary["output"] == "best"]
    with_both = best[best["augmented_data"]][["family", "samples"]].drop_duplicates()
    rows = []
    for family, samples in with_both.itertuples(index=False):
        part = best[(best["family"] == family) & (best["samples"] == samples)]
        with_da = part["augmented_data"].astype(bool)
        cells = [
            _cell(own.set_index("method"), method, ("frechet_distance", 1))
            for method in ("dense", "rg")
            for own in (part[~with_da], part[with_da])
        ]
        rows.append([_title(str(family)), f"{samples:,}", *cells])
    return markdown_table(head, rows)


def ablation(summary: pd.DataFrame) -> str:
    """Return the effect of each part, and the two other readings of the paper."""
    part = with_all_data(summary, "sngan")
    best, last = (
        part[part["output"] == output].set_index("method", drop=False)
        for output in ("best", "last")
    )
    wanted = ["dense", *ABLATION, "rg", *VARIANTS]
    titles = {name: METHODS[name].title for name in wanted} | {"rg": "DP + RR + AR, both (RG-GAN)"}
    columns: Columns = [
        ("trained as", lambda row: titles[row["method"]]), ("seeds", "seeds"),
        *_QUALITY, *_PRUNED,
        ("at the last update: Fréchet distance",
         lambda row: cell(last.loc[row["method"]], ("frechet_distance", 1))),
    ]  # fmt: skip
    return page_table(best.loc[[name for name in wanted if name in best.index]], columns)


def difference_table(table: pd.DataFrame) -> str:
    """Return each method minus the dense GAN of the same data and seed."""
    shown = table[table["method"].isin(["rg", "regan", *TICKETS])]
    columns: Columns = [
        ("GAN", _short), ("trained as", lambda row: METHODS[row["method"]].title),
        ("training samples", lambda row: f"{row['samples']:,}"),
        ("DA", lambda row: "yes" if row["augmented_data"] else ""), ("seeds", "seeds"),
        ("Fréchet distance", ("frechet_distance", 1)),
        ("ratio", lambda row: cell(row, ("ratio", 2))),
        ("seeds with a lower one", "better_seeds"), ("coverage", ("coverage", 2)),
    ]  # fmt: skip
    return page_table(shown, columns, sign="+")


def families_of(table: pd.DataFrame) -> list[str]:
    """Return the kinds of GAN in a table, in their order."""
    return [name for name in FAMILIES if name in set(table["family"])]


def with_all_data(table: pd.DataFrame, family: str) -> pd.DataFrame:
    """Return the rows of a kind of GAN with all data and no augmentation."""
    part = table[(table["family"] == family) & ~table["augmented_data"].astype(bool)]
    whole: pd.DataFrame = part[part["samples"] == part["samples"].max()]
    return whole


def _title(family: str) -> str:
    return FAMILIES[family].title.split(",")[0]


def _short(row: Any) -> str:
    return _title(row["family"])


def _cell(own: pd.DataFrame, method: str, spec: Any) -> str:
    return cell(own.loc[method], spec) if method in own.index else "-"
