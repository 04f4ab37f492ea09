"""Tables of the study from what finished runs have left; pictures are in ``pictures.py``."""

import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.markdown import fill_page
from experiments.papers.compressibility_wgan.results import machine
from experiments.papers.compressibility_wgan.statistics import t_interval
from experiments.papers.rg_gan.pages import page_parts
from experiments.papers.rg_gan.pictures import write_pictures
from experiments.papers.rg_gan.setting import Case
from experiments.papers.rg_gan.study import is_finished, read_record, read_samples
from flwr_gan import __version__
from flwr_gan.atomic import write_text
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
    for name, table in tables.items():
        write_text(results / name, table.to_csv(index=False, float_format="%.6g"))
        yield results / name
    run = describe(cases, finished, records, command=command)
    write_text(results / "run.json", json.dumps(run, indent=2) + "\n")
    yield results / "run.json"
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
    if results.resolve() == RESULTS.resolve():
        fill_page(PAGES / "README.md", parts)
        yield PAGES / "README.md"
    else:
        text = "\n\n".join(f"## {name}\n\n{part}" for name, part in parts.items())
        write_text(results / "tables.md", text + "\n")
        yield results / "tables.md"


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
    rows = []
    for key, part in runs.groupby(keys, sort=False):
        row: dict[str, Any] = dict(zip(keys, key, strict=True)) | {"seeds": len(part)}
        for name in measured:
            row[name], row[f"{name}_half_width"] = t_interval(part[name].astype(float))
        rows.append(row)
    return pd.DataFrame(rows)


def differences(runs: pd.DataFrame) -> pd.DataFrame:
    """Return each method's best generator minus the dense GAN's of the same data and seed."""
    best = runs[runs["output"] == "best"]
    keys = ["family", "samples", "augmented_data", "seed"]
    dense = best[best["method"] == "dense"].set_index(keys)
    rows = []
    for key, part in best[best["method"] != "dense"].groupby(list(PLACE), sort=False):
        own = part.set_index(keys)
        shared = own.index.intersection(dense.index)
        if not len(shared):
            continue
        row: dict[str, Any] = dict(zip(PLACE, key, strict=True)) | {"seeds": len(shared)}
        for name in COMPARED:
            change = own.loc[shared, name] - dense.loc[shared, name]
            row[name], row[f"{name}_half_width"] = t_interval(change)
        ratio = own.loc[shared, "frechet_distance"] / dense.loc[shared, "frechet_distance"]
        row["ratio"], row["ratio_half_width"] = t_interval(ratio)
        row["better_seeds"] = int((ratio < 1).sum())
        rows.append(row)
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
        "date": datetime.now(UTC).date().isoformat(),
        "runs": len(finished),
        "missing": [case.name for case in cases if case.name not in names],
        "seeds": sorted({case.seed for case in finished}),
        "families": {case.family: asdict(case.settings) for case in finished},
        "machine": machine(),
        "core_minutes": round(sum(record["cpu_s"] for record in records) / 60, 1),
        "versions": {
            "flwr_gan": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in LIBRARIES},
        },
    }
