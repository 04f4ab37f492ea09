"""Tables of the study from what finished runs have left; pictures are in ``pictures.py``."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.papers.rg_gan.pages import page_parts
from experiments.papers.rg_gan.pictures import write_pictures
from experiments.papers.rg_gan.setting import Case
from experiments.papers.rg_gan.study import is_finished, read_record, read_samples
from experiments.study.statistics import average, intervals, matched
from experiments.study_files import machine, today, versions, write_parts, write_tables
from flwr_gan.errors import OutputError

PAGES = Path(__file__).parent
RESULTS = PAGES / "results"
LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "pandas")
PLACE = ("family", "method", "samples", "augmented_data")
COMPARED = ("frechet_distance", "coverage", "recall")
_LAYERS = ("generator_layers", "critic_layers")


def write_results(
    cases: Sequence[Case], folder: Path, results: Path, *, command: str
) -> Iterator[Path]:
    """Write every table and picture; yield their paths.

    The page beside this file is written anew where ``results`` is the folder beside it too;
    elsewhere its tables alone go to ``tables.md``.

    Parameters
    ----------
    cases : sequence of Case
        Those that are not finished are left out.
    folder : Path
        Where the runs are.
    results : Path
        Where tables and pictures go.
    command : str
        What was called, for ``run.json``.

    Raises
    ------
    OutputError
        If no run is finished, or a file cannot be read or written.
    """
    finished = [case for case in cases if is_finished(case, folder)]
    if not finished:
        raise OutputError(f"no run in {folder} is finished: run it without --report first")
    records = [read_record(case, folder) for case in finished]
    runs = output_rows(records)
    tables = {
        "runs.csv": runs,
        "summary.csv": summarise(runs),
        "differences.csv": differences(runs),
        "checks.csv": check_rows(records),
        "layers.csv": layer_rows(records),
    }
    run = describe(cases, finished, records, command=command)
    yield from write_tables(tables, run, results, float_format="%.6g")
    first = finished[0].seed
    samples = {
        (case.family, case.method): read_samples(case, folder)
        for case in finished
        if case.seed == first
        and case.samples == case.settings.num_samples
        and not case.augmented_data
    }
    yield from write_pictures(tables, samples, results)
    parts = page_parts(tables, run)
    committed = results.resolve() == RESULTS.resolve()
    yield write_parts(parts, results, PAGES / "README.md", committed=committed)


def output_rows(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a row an output of a run: the best generator, the best of each phase, the last."""
    rows = []
    for record in records:
        place = {name: record[name] for name in (*PLACE, "seed")}
        for output, scores in record["outputs"].items():
            rows.append(place | {"output": output} | scores | {"cpu_s": record["cpu_s"]})
    return pd.DataFrame(rows)


def check_rows(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a row a check of quality, without the layers."""
    rows = []
    for record in records:
        place = {name: record[name] for name in (*PLACE, "seed")}
        for check in record["checks"]:
            rows.append(place | {k: v for k, v in check.items() if k not in _LAYERS})
    return pd.DataFrame(rows)


def layer_rows(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a row a layer and check of what is pruned with all data and no augmentation."""
    rows = []
    for record in records:
        place = {name: record[name] for name in (*PLACE, "seed")}
        for check in record["checks"]:
            for name in _LAYERS:
                network = name.removesuffix("_layers")
                for at, sparsity in enumerate(check[name], start=1):
                    if check["phase"] == "sparse" and record["method"] == "rg":
                        more = {"network": network, "layer": at, "sparsity": sparsity}
                        rows.append(place | {"update": check["update"]} | more)
    columns = [*PLACE, "seed", "update", "network", "layer", "sparsity"]
    return pd.DataFrame(rows, columns=columns)


def summarise(runs: pd.DataFrame) -> pd.DataFrame:
    """Return mean and half of the 95 % t interval over seeds of all that is measured."""
    keys = [*PLACE, "output"]
    measured = [str(n) for n in runs if n not in (*keys, "seed", "phase")]
    return average(runs, keys, measured)


def differences(runs: pd.DataFrame) -> pd.DataFrame:
    """Return each method's best generator minus the dense GAN's of the same data and seed."""
    best = runs[runs["output"] == "best"]
    keys = ["family", "samples", "augmented_data", "seed"]
    is_dense = best["method"] == "dense"
    rows = []
    for key, part in best[~is_dense].groupby(list(PLACE), sort=False):
        own, dense = matched(part, best[is_dense], keys)
        if own.empty:
            continue
        row: dict[str, Any] = dict(zip(PLACE, key, strict=True)) | {"seeds": len(own)}
        change = own[list(COMPARED)] - dense[list(COMPARED)]
        change["ratio"] = own["frechet_distance"] / dense["frechet_distance"]
        rows.append(row | intervals(change) | {"better_seeds": int((change["ratio"] < 1).sum())})
    return pd.DataFrame(rows, columns=None if rows else [*PLACE, "seeds", *COMPARED])


def describe(
    cases: Sequence[Case],
    finished: Sequence[Case],
    records: Sequence[Mapping[str, Any]],
    *,
    command: str,
) -> dict[str, Any]:
    """Return what was run, with what, on what, and for how long."""
    names = {case.name for case in finished}
    return {
        "command": command,
        "date": today(),
        "runs": len(finished),
        "missing": [case.name for case in cases if case.name not in names],
        "seeds": sorted({case.seed for case in finished}),
        "families": {case.family: asdict(case.settings) for case in finished},
        "machine": machine(),
        "core_minutes": round(sum(record["cpu_s"] for record in records) / 60, 1),
        "versions": versions(LIBRARIES),
    }
