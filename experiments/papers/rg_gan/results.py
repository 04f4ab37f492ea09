"""Tables of the study from what finished runs have left; pictures are in ``pictures.py``."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from experiments.study.cases import Record, all_rows
from experiments.study.statistics import average, differences, intervals

PLACE = ("family", "method", "samples", "augmented_data")
_LAYERS = ("generator_layers", "critic_layers")


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
    """Return a row an output of a run: the best generator, the best of each phase, the last."""
    return pd.DataFrame(
        {**record.case.place, "output": output, **scores, "cpu_s": record.cpu_s}
        for record in records
        for output, scores in record.result["outputs"].items()
    )


def layer_rows(records: Sequence[Record]) -> Iterator[dict[str, Any]]:
    """Yield what each layer has pruned at the checks of sparse phases of RG-GAN."""
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
