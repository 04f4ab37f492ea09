"""Tables of the study from what finished trainings have left; pictures are in ``pictures.py``."""

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
from experiments.papers.gan_distillation.pages import page_parts
from experiments.papers.gan_distillation.pictures import write_pictures
from experiments.papers.gan_distillation.scoring import CODECS, QUALITY
from experiments.papers.gan_distillation.setting import PUBLISHED_TEACHER, TABLE_1, Case
from experiments.papers.gan_distillation.study import REAL, SCORES, is_finished
from experiments.papers.gan_distillation.training import TRAINING
from flwr_gan import __version__
from flwr_gan.atomic import write_text
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
    for name, table in tables.items():
        write_text(results / name, table.to_csv(index=False, float_format="%.5g"))
        yield results / name
    run = describe(cases, finished, folder, command=command)
    write_text(results / "run.json", json.dumps(run, indent=2) + "\n")
    yield results / "run.json"
    yield from write_pictures(summary, run["real"], finished, folder, results)
    parts = page_parts(tables, run)
    if results.resolve() == RESULTS.resolve():
        fill_page(PAGES / "README.md", parts)
        yield PAGES / "README.md"
    else:
        text = "\n\n".join(f"## {name}\n\n{part}" for name, part in parts.items())
        write_text(results / "tables.md", text + "\n")
        yield results / "tables.md"


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
    rows = []
    for (role, depth), part in runs.groupby(["role", "depth"], sort=False):
        row: dict[str, Any] = {"role": role, "depth": depth, "seeds": len(part)}
        for name in measured:
            row[name], row[f"{name}_half_width"] = t_interval(part[name].astype(float))
        rows.append(row)
    return pd.DataFrame(rows)


def differences(runs: pd.DataFrame) -> pd.DataFrame:
    """Return student minus the regular GAN of its depth, seed and number of updates."""
    rows = []
    for (role, depth), part in runs[runs["role"].isin(RIVALS)].groupby(["role", "depth"]):
        rival = runs[runs["role"] == RIVALS[str(role)]].set_index(["depth", "seed"])
        own = part.set_index(["depth", "seed"])
        shared = own.index.intersection(rival.index)
        if not len(shared):
            continue
        row: dict[str, Any] = {"role": role, "depth": depth, "seeds": len(shared)}
        for name in COMPARED:
            change = own.loc[shared, name] - rival.loc[shared, name]
            row[name], row[f"{name}_half_width"] = t_interval(change)
            row[f"{name}_worst"] = change.max() if name == "frechet_distance" else change.min()
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
        "date": datetime.now(UTC).date().isoformat(),
        "trainings": len(finished),
        "missing": [case.name for case in cases if case.name not in names],
        "seeds": sorted({case.seed for case in finished}),
        "hyperparameters": asdict(finished[0].hyperparameters),
        "papers_teacher": {"depth": depth, "parameters": parameters, "inception_score": score},
        "real": read_json(folder / REAL) if (folder / REAL).exists() else {},
        "machine": machine(),
        "core_minutes": round(sum(seconds) / 60, 1),
        "versions": {
            "flwr_gan": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in LIBRARIES},
        },
    }


def read_json(path: Path) -> Mapping[str, Any]:
    """Return what a JSON file holds."""
    found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
