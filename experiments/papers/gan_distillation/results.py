"""Tables of the study from what finished trainings have left; pictures are in ``pictures.py``."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from experiments.papers.gan_distillation.scoring import CODECS, QUALITY
from experiments.papers.gan_distillation.setting import PUBLISHED_TEACHER, TABLE_1
from experiments.study.cases import Record
from experiments.study.statistics import average, differences
from flwr_gan.errors import OutputError

RIVALS = {"mse": "regular", "joint": "regular", "mse_longer": "regular_longer"}
"""With what each student is compared: as many generator updates."""
COMPARED = ("inception_score", "frechet_distance", "recall", "coverage")


def tables(records: Sequence[Record]) -> dict[str, pd.DataFrame]:
    """Return a row a training, means over seeds, differences, and the paper's table with ours."""
    if not any(record.case.role == "teacher" for record in records):
        raise OutputError("the teacher is not finished: run it without --report first")
    runs = pd.DataFrame([record.row for record in records]).drop(columns="cpu_s")
    runs.insert(3, "iterations", [record.case.iterations for record in records])
    runs = with_ratios(runs)
    measured = [str(name) for name in runs if name not in ("role", "depth", "seed", "iterations")]
    summary = average(runs, ["role", "depth"], measured)
    return {
        "runs.csv": runs,
        "summary.csv": summary,
        "differences.csv": to_rivals(runs),
        "table1.csv": table_1(summary),
    }


def with_ratios(runs: pd.DataFrame) -> pd.DataFrame:
    """Add how many times smaller each generator is than the teacher, which counts as float32."""
    (teacher,) = runs[runs["role"] == "teacher"].to_dict("records")
    added = {"ratio": teacher["parameters"] / runs["parameters"]}
    for name in CODECS:
        added[f"{name}_ratio"] = teacher["dense_bytes"] / runs[f"{name}_bytes"]
    return runs.assign(**added)


def to_rivals(runs: pd.DataFrame) -> pd.DataFrame:
    """Return student minus the regular GAN of its depth, seed and number of updates."""

    def worst(own: pd.DataFrame, rival: pd.DataFrame) -> dict[str, float]:
        change = own[list(COMPARED)] - rival[list(COMPARED)]
        highest = {"frechet_distance"}
        return {
            f"{name}_worst": change[name].max() if name in highest else change[name].min()
            for name in COMPARED
        }

    parts = [
        differences(
            part, part["role"] == rival, groups=["role", "depth"], pair=["depth", "seed"],
            measures=COMPARED, more=worst,
        )
        for student, rival in RIVALS.items()
        if len(part := runs[runs["role"].isin([student, rival])])
    ]  # fmt: skip
    return pd.concat(parts).sort_values(["role", "depth"])


def table_1(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the MNIST rows of the paper's Table 1 with ours beside, a row a depth."""
    rows = []
    for depth, part in summary[summary["role"] != "teacher"].groupby("depth"):
        row: dict[str, Any] = {"depth": depth}
        if depth in TABLE_1:
            row |= {
                f"paper_{name}": value for name, value in asdict(TABLE_1[int(str(depth))]).items()
            }
        row |= {"parameters": int(part["parameters"].iloc[0]), "ratio": part["ratio"].iloc[0]}
        for _, own in part.iterrows():
            row[f"seeds_{own['role']}"] = own["seeds"]
            for name in QUALITY:
                row[f"{name}_{own['role']}"] = own[name]
                row[f"{name}_{own['role']}_half_width"] = own[f"{name}_half_width"]
        rows.append(row)
    return pd.DataFrame(rows)


def facts(records: Sequence[Record]) -> Mapping[str, Any]:
    """Return hyperparameters, the paper's teacher and the scores of real images."""
    depth, parameters, score = PUBLISHED_TEACHER
    return {
        "hyperparameters": asdict(records[0].case.hyperparameters),
        "papers_teacher": {"depth": depth, "parameters": parameters, "inception_score": score},
        "real": real_scores(records),
    }


def real_scores(records: Sequence[Record]) -> dict[str, float]:
    """Return the scores of real images, which the teacher's record has."""
    found: dict[str, float] = next(r for r in records if r.case.role == "teacher").result["real"]
    return found
