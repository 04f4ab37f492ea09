"""The tables of README.md, from the tables of results."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from experiments.papers.gan_distillation.setting import PUBLISHED_TEACHER, ROLES
from experiments.study.markdown import markdown_table, plus_minus

ORDER = ("mse", "mse_longer", "joint", "regular", "regular_longer")
DIGITS = {
    "frechet_distance": 1, "laplacian_variance": 3, "precision": 2, "recall": 2, "coverage": 2,
    "mlp_inception_score": 2, "mlp_frechet_distance": 0,
}  # fmt: skip
"""Columns of the table of all measures, and digits after the point."""


def page_parts(tables: Mapping[str, pd.DataFrame], run: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each marker of the page."""
    summary = tables["summary.csv"]
    return {
        "table 1": table_1(tables["table1.csv"], summary, run),
        "quality": quality(summary, run),
        "differences": differences(tables["differences.csv"]),
        "bytes": sizes(summary),
        "run": description(run),
    }


def table_1(table: pd.DataFrame, summary: pd.DataFrame, run: Mapping[str, Any]) -> str:
    """Return the paper's MNIST rows with ours beside, a row a depth, the teachers last."""
    head = (
        "d", "parameters", "ratio: paper", "ours", "student: paper", "ours, MSE",
        "ours, MSE, longer", "ours, joint", "regular: paper", "ours", "ours, longer",
    )  # fmt: skip
    rows = []
    for _, row in table.iterrows():
        printed = "paper_ratio" in row and not pd.isna(row["paper_ratio"])
        paper = {
            "ratio": f"{row['paper_ratio']:.0f}" if printed else "-",
            "student": f"{row['paper_student']:.2f}" if printed else "-",
            "regular": f"{row['paper_regular']:.2f}" if printed else "-",
        }
        ours = [_number(row, f"inception_score_{role}", 2) for role in ORDER]
        rows.append(
            [f"{row['depth']:.0f}", f"{row['parameters']:,.0f}", paper["ratio"],
             f"{row['ratio']:.1f}", paper["student"], *ours[:3], paper["regular"], *ours[3:]]
        )  # fmt: skip
    (own,) = summary[summary["role"] == "teacher"].to_dict("records")
    size, score = f"{own['parameters']:,.0f}", f"{own['inception_score']:.2f}"
    rows.append([f"{own['depth']}, our teacher", size, "", "1", "", "", "", "", "", score, ""])
    depth, parameters, papers = PUBLISHED_TEACHER
    rows.append(
        [
            f"{depth}, the paper's",
            f"{parameters:,}",
            "1",
            "",
            "",
            "",
            "",
            "",
            f"{papers:.2f}",
            "",
            "",
        ]
    )
    if real := run["real"]:
        rows.append(["real images", *[""] * 8, f"{real['inception_score']:.2f}", ""])
    return markdown_table(head, rows)


def quality(summary: pd.DataFrame, run: Mapping[str, Any]) -> str:
    """Return all other measures, a row a generator."""
    head = (
        "d", "trained as", "seeds", "Fréchet distance", "variance of Laplacian", "precision",
        "recall", "coverage", "PSNR to the teacher, dB", "perceptron: score",
        "perceptron: Fréchet distance", "training, processor s",
    )  # fmt: skip
    rows = []
    for _, row in _ordered(summary).iterrows():
        student = row["role"].startswith(("mse", "joint"))
        near = _number(row, "psnr_db", 1) if student else ""
        cells = [_number(row, name, digits) for name, digits in DIGITS.items()]
        cells[5:5] = [near]
        name, seconds = ROLES[row["role"]], f"{row['train_s']:.0f}"
        rows.append([str(row["depth"]), name, str(row["seeds"]), *cells, seconds])
    if real := run["real"]:
        cells = [_number(real, name, digits) for name, digits in DIGITS.items()]
        cells[5:5] = [""]
        rows.append(["", "real images", "", *cells, ""])
    return markdown_table(head, rows)


def differences(table: pd.DataFrame) -> str:
    """Return student minus regular GAN, with the least favourable seed."""
    head = (
        "d", "student", "seeds", "inception-type score", "worst seed", "Fréchet distance",
        "worst seed", "recall", "coverage",
    )  # fmt: skip
    rows = []
    for _, row in table.sort_values(["depth", "role"], ascending=[True, False]).iterrows():
        cells = []
        for name in ("inception_score", "frechet_distance"):
            digits = 2 if name == "inception_score" else 1
            cells += [_number(row, name, digits, "+"), f"{row[f'{name}_worst']:+.{digits}f}"]
        cells += [_number(row, name, 2, "+") for name in ("recall", "coverage")]
        rows.append([str(row["depth"]), ROLES[row["role"]], str(row["seeds"]), *cells])
    return markdown_table(head, rows)


def sizes(summary: pd.DataFrame) -> str:
    """Return bytes and ratios to the teacher in float32, and what 8 bits cost."""
    head = (
        "d", "trained as", "float32, bytes", "`sparse`", "ratio", "`sparse:int8`", "ratio",
        "score before", "after 8 bits", "Fréchet distance before", "after 8 bits",
    )  # fmt: skip
    rows = []
    for _, row in _ordered(summary).iterrows():
        cells = [f"{row['dense_bytes']:,.0f}"]
        for name in ("sparse", "int8"):
            ratio = row[f"{name}_ratio"]
            digits = 2 if ratio < 10 else 0
            cells += [f"{row[f'{name}_bytes']:,.0f}", f"{ratio:.{digits}f}"]
        for name, digits in (("inception_score", 2), ("frechet_distance", 1)):
            cells += [f"{row[name]:.{digits}f}", f"{row[f'int8_{name}']:.{digits}f}"]
        rows.append([str(row["depth"]), ROLES[row["role"]], *cells])
    return markdown_table(head, rows)


def description(run: Mapping[str, Any]) -> str:
    """Return command, machine, time and versions in a few lines."""
    settings = run["hyperparameters"]
    versions = ", ".join(f"{name} {number}" for name, number in run["versions"].items())
    seeds = ", ".join(map(str, run["seeds"]))
    missing = ", ".join(run["missing"]) or "nothing"
    accuracy = ""
    if real := run["real"]:
        accuracy = (
            f"Right on test images: the judge {100 * real['judge_accuracy']:.1f} %, the perceptron "
            f"{100 * real['mlp_accuracy']:.1f} %.\n\n"
        )
    return (
        f"`{run['command']}`, {run['date']}: {run['trainings']} trainings, seeds {seeds}; teacher "
        f"{settings['teacher_iterations']:,} generator updates, all others "
        f"{settings['iterations']:,} ({settings['longer']} times that in *longer*); "
        f"{settings['num_samples']:,} training images; {run['core_minutes']} core-minutes, "
        f"one thread, on {run['machine']}.\n\n{accuracy}{versions}.\n\nNot run: {missing}."
    )


def _ordered(summary: pd.DataFrame) -> pd.DataFrame:
    """Return rows by depth, the teacher first."""
    rank = summary["role"].map({"teacher": -1} | {role: at for at, role in enumerate(ORDER)})
    first = summary["depth"].where(summary["role"] != "teacher", -1)
    return summary.assign(rank=rank, first=first).sort_values(["first", "rank"])


def _number(row: Any, name: str, digits: int, sign: str = "") -> str:
    if name not in row or pd.isna(row[name]):
        return "-"
    half = row.get(f"{name}_half_width", math.nan)
    return plus_minus(row[name], half, digits, sign=sign)
