"""Tables of the study from what finished trainings have left; pictures are in ``pictures.py``."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.papers.gan_distillation.pages import page_parts
from experiments.papers.gan_distillation.pictures import write_pictures
from experiments.papers.gan_distillation.scoring import CODECS, QUALITY
from experiments.papers.gan_distillation.setting import PUBLISHED_TEACHER, TABLE_1, Case
from experiments.papers.gan_distillation.study import REAL, SCORES, is_finished
from experiments.papers.gan_distillation.training import TRAINING
from experiments.study.statistics import average, intervals, matched
from experiments.study_files import machine, today, versions, write_parts, write_tables
from flwr_gan.errors import OutputError

PAGES = Path(__file__).parent
RESULTS = PAGES / "results"
LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "pandas")
RIVALS = {"mse": "regular", "joint": "regular", "mse_longer": "regular_longer"}
"""With what each student is compared: as many generator updates."""
COMPARED = ("inception_score", "frechet_distance", "recall", "coverage")


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
        If the teacher is not finished, or a file cannot be read or written.
    """
    finished = [case for case in cases if is_finished(case, folder)]
    if not any(case.role == "teacher" for case in finished):
        raise OutputError(f"no teacher in {folder} is finished: run it without --report first")
    runs = pd.DataFrame([read_run(case, folder) for case in finished])
    runs = with_ratios(runs)
    summary = summarise(runs)
    tables = {
        "runs.csv": runs,
        "summary.csv": summary,
        "differences.csv": differences(runs),
        "table1.csv": table_1(summary),
    }
    run = describe(cases, finished, folder, command=command)
    yield from write_tables(tables, run, results)
    yield from write_pictures(summary, run["real"], finished, folder, results)
    parts = page_parts(tables, run)
    committed = results.resolve() == RESULTS.resolve()
    yield write_parts(parts, results, PAGES / "README.md", committed=committed)


def read_run(case: Case, folder: Path) -> dict[str, Any]:
    """Return one training as a row: its place, what was measured, processor seconds."""
    try:
        scores = read_json(folder / case.name / SCORES)
        training = read_json(folder / case.name / TRAINING)
    except (OSError, ValueError) as error:
        raise OutputError(f"{folder / case.name} cannot be read: {error}") from error
    return {**case.place, "iterations": case.iterations, **scores, "train_s": training["cpu_s"]}


def with_ratios(runs: pd.DataFrame) -> pd.DataFrame:
    """Add how many times smaller each generator is than the teacher, which counts as float32."""
    (teacher,) = runs[runs["role"] == "teacher"].to_dict("records")
    added = {"ratio": teacher["parameters"] / runs["parameters"]}
    for name in CODECS:
        added[f"{name}_ratio"] = teacher["dense_bytes"] / runs[f"{name}_bytes"]
    return runs.assign(**added)


def summarise(runs: pd.DataFrame) -> pd.DataFrame:
    """Return mean and half of the 95 % t interval over seeds of all that is measured."""
    measured = [str(name) for name in runs if name not in ("role", "depth", "seed", "iterations")]
    return average(runs, ["role", "depth"], measured)


def differences(runs: pd.DataFrame) -> pd.DataFrame:
    """Return student minus the regular GAN of its depth, seed and number of updates."""
    rows = []
    for (role, depth), part in runs[runs["role"].isin(RIVALS)].groupby(["role", "depth"]):
        rivals = runs[runs["role"] == RIVALS[str(role)]]
        own, rival = matched(part, rivals, ["depth", "seed"])
        if own.empty:
            continue
        row: dict[str, Any] = {"role": role, "depth": depth, "seeds": len(own)}
        for name in COMPARED:
            change = own[[name]] - rival[[name]]
            worst = change.max() if name == "frechet_distance" else change.min()
            row |= intervals(change) | {f"{name}_worst": worst[name]}
        rows.append(row)
    return pd.DataFrame(rows, columns=None if rows else ["role", "depth", "seeds", *COMPARED])


def table_1(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the MNIST rows of the paper's Table 1 with ours beside, a row a depth."""
    small = summary[summary["role"] != "teacher"]
    rows = []
    for depth in sorted(set(map(int, small["depth"]))):
        part = small[small["depth"] == depth]
        row: dict[str, Any] = {"depth": depth}
        if depth in TABLE_1:
            row |= {f"paper_{name}": value for name, value in asdict(TABLE_1[depth]).items()}
        first = part.iloc[0]
        row |= {"parameters": int(first["parameters"]), "ratio": first["ratio"]}
        for _, own in part.iterrows():
            row[f"seeds_{own['role']}"] = own["seeds"]
            for name in QUALITY:
                row[f"{name}_{own['role']}"] = own[name]
                row[f"{name}_{own['role']}_half_width"] = own[f"{name}_half_width"]
        rows.append(row)
    return pd.DataFrame(rows)


def describe(
    cases: Sequence[Case], finished: Sequence[Case], folder: Path, *, command: str
) -> dict[str, Any]:
    """Return what was run, with what, on what, and for how long."""
    names = [case.name for case in finished]
    seconds = [read_json(folder / name / TRAINING)["cpu_s"] for name in names]
    depth, parameters, score = PUBLISHED_TEACHER
    return {
        "command": command,
        "date": today(),
        "trainings": len(finished),
        "missing": [case.name for case in cases if case.name not in names],
        "seeds": sorted({case.seed for case in finished}),
        "hyperparameters": asdict(finished[0].hyperparameters),
        "papers_teacher": {"depth": depth, "parameters": parameters, "inception_score": score},
        "real": read_json(folder / REAL) if (folder / REAL).exists() else {},
        "machine": machine(),
        "core_minutes": round(sum(seconds) / 60, 1),
        "versions": versions(LIBRARIES),
    }


def read_json(path: Path) -> Mapping[str, Any]:
    """Return what a JSON file holds."""
    found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
