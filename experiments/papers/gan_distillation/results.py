"""Tables of the study from the results of finished trainings, and those of README.md."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from experiments.papers.gan_distillation.scoring import CODECS, QUALITY
from experiments.papers.gan_distillation.setting import (
    PUBLISHED_TEACHER,
    RIVALS,
    ROLES,
    TABLE_1,
)
from experiments.study.cases import Record
from experiments.study.markdown import Cell, Columns, cell, markdown_table, number, page_table
from experiments.study.results import description
from experiments.study.statistics import average, differences
from flwr_gan.errors import OutputError

STUDENTS, REGULAR = ("mse", "mse_longer", "joint", "game"), ("regular", "regular_longer")
COMPARED = ("inception_score", "frechet_distance", "recall", "coverage")
ORDER = ("mse_drawn", *STUDENTS, *REGULAR)


def tables(records: Sequence[Record]) -> dict[str, pd.DataFrame]:
    """Return one row per training, means, differences, and the paper's table beside ours."""
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
    """Add each generator's ratios to the teacher in float32, in parameters and bytes."""
    (teacher,) = runs[runs["role"] == "teacher"].to_dict("records")
    added = {"ratio": teacher["parameters"] / runs["parameters"]}
    for name in CODECS:
        added[f"{name}_ratio"] = teacher["dense_bytes"] / runs[f"{name}_bytes"]
    return runs.assign(**added)


def to_rivals(runs: pd.DataFrame) -> pd.DataFrame:
    """Return student minus the regular GAN of its depth, seed and number of updates.

    The intervals of a measure hold together: they are corrected for the number of rows.
    """

    def worst(own: pd.DataFrame, rival: pd.DataFrame) -> dict[str, float]:
        change = own[list(COMPARED)] - rival[list(COMPARED)]
        highest = {"frechet_distance"}
        return {
            f"{name}_worst": change[name].max() if name in highest else change[name].min()
            for name in COMPARED
        }

    rows = len(runs[runs["role"].isin(list(RIVALS))].groupby(["role", "depth"]))
    parts = [
        differences(
            part, part["role"] == rival, groups=["role", "depth"], pair=["depth", "seed"],
            measures=COMPARED, comparisons=rows, more=worst,
        )
        for student, rival in RIVALS.items()
        if len(part := runs[runs["role"].isin([student, rival])])
    ]  # fmt: skip
    return pd.concat(parts).sort_values(["role", "depth"])


def table_1(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the MNIST rows of the paper's Table 1 and ours, one row per depth."""
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
    """Return the scores of real images from the teacher's record."""
    found: dict[str, float] = next(r for r in records if r.case.role == "teacher").result["real"]
    return found


def page(tables: Mapping[str, pd.DataFrame], run: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each marker of the page."""
    summary, settings, real = tables["summary.csv"], run["hyperparameters"], run["real"]
    details = (
        f"Teacher {settings['teacher_iterations']:,} generator updates, all others "
        f"{settings['iterations']:,} ({settings['longer']} times that in *longer*); "
        f"{settings['num_samples']:,} training images. Right on test images: the judge "
        f"{100 * real['judge_accuracy']:.1f} %, the perceptron {100 * real['mlp_accuracy']:.1f} %."
    )
    return {
        "table 1": paper_table(tables["table1.csv"], summary, real),
        "quality": quality(summary, real),
        "differences": difference_table(tables["differences.csv"]),
        "bytes": sizes(summary),
        "run": description(run, details),
    }


def paper_table(table: pd.DataFrame, summary: pd.DataFrame, real: Mapping[str, float]) -> str:
    """Return the paper's MNIST rows and ours, one row per depth, the teachers last."""
    head = (
        "d", "parameters", "ratio: paper", "ours", "student: paper", "ours, MSE",
        "ours, MSE, longer", "ours, joint", "ours, own critic", "regular: paper", "ours",
        "ours, longer",
    )  # fmt: skip
    rows = []
    for _, row in table.iterrows():
        students, regular = (
            [cell(row, (f"inception_score_{role}", 2)) for role in roles]
            for roles in (STUDENTS, REGULAR)
        )
        rows.append([
            f"{row['depth']:.0f}", f"{row['parameters']:,.0f}", cell(row, ("paper_ratio", 0)),
            f"{row['ratio']:.1f}", cell(row, ("paper_student", 2)), *students,
            cell(row, ("paper_regular", 2)), *regular,
        ])  # fmt: skip
    (own,) = summary[summary["role"] == "teacher"].to_dict("records")
    depth, parameters, papers = PUBLISHED_TEACHER
    size, score = f"{own['parameters']:,.0f}", f"{own['inception_score']:.2f}"
    blank = [""] * 5
    rows += [
        [f"{own['depth']}, our teacher", size, "", "1", *blank, "", score, ""],
        [f"{depth}, the paper's", f"{parameters:,}", "1", "", *blank, f"{papers:.2f}", "", ""],
        ["real images", *[""] * 9, f"{real['inception_score']:.2f}", ""],
    ]
    return markdown_table(head, rows)


def quality(summary: pd.DataFrame, real: Mapping[str, float]) -> str:
    """Return all other measures, one row per generator."""
    images = pd.DataFrame([{**real, "depth": "", "seeds": "", "role": "real"}])
    shown = pd.concat([_ordered(summary), images])

    def near(row: Any) -> str:
        return cell(row, ("psnr_db", 1)) if row["role"] in RIVALS else ""

    columns: Columns = [
        ("d", "depth"),
        ("trained as", lambda row: ROLES.get(row["role"], "real images")),
        ("seeds", "seeds"),
        (
            "blank",
            lambda row: "" if row["role"] == "real" else f"{row['blank'] * row['seeds']:.0f}",
        ),
        ("inception-type score", ("inception_score", 2)),
        ("Fréchet distance", ("frechet_distance", 1)),
        ("variance of Laplacian", ("laplacian_variance", 3)),
        ("precision", ("precision", 2)),
        ("recall", ("recall", 2)),
        ("coverage", ("coverage", 2)),
        ("PSNR to the teacher, dB", near),
        ("perceptron: score", ("mlp_inception_score", 2)),
        ("perceptron: Fréchet distance", ("mlp_frechet_distance", 0)),
        ("training, processor s", lambda row: number(row["train_s"], 0, absent="")),
    ]
    return page_table(shown, columns)


def difference_table(table: pd.DataFrame) -> str:
    """Return student minus regular GAN, and the least favourable seed."""
    columns: Columns = [
        ("d", "depth"), ("student", lambda row: ROLES[row["role"]]), ("seeds", "seeds"),
        ("inception-type score", ("inception_score", 2)),
        ("worst seed", ("inception_score_worst", 2)),
        ("Fréchet distance", ("frechet_distance", 1)),
        ("worst seed", ("frechet_distance_worst", 1)),
        ("recall", ("recall", 2)), ("coverage", ("coverage", 2)),
    ]  # fmt: skip
    return page_table(
        table.sort_values(["depth", "role"], ascending=[True, False]), columns, sign="+"
    )


def sizes(summary: pd.DataFrame) -> str:
    """Return bytes and ratios to the teacher in float32, and the loss of quality with 8 bits."""

    def plain(name: str, digits: int) -> Cell:
        return lambda row: f"{row[name]:,.{digits}f}"

    def ratio(name: str) -> Cell:
        return lambda row: f"{row[name]:.{2 if row[name] < 10 else 0}f}"

    columns: Columns = [
        ("d", "depth"), ("trained as", lambda row: ROLES[row["role"]]),
        ("float32, bytes", plain("dense_bytes", 0)),
        ("`sparse`", plain("sparse_bytes", 0)), ("ratio", ratio("sparse_ratio")),
        ("`sparse:int8`", plain("int8_bytes", 0)), ("ratio", ratio("int8_ratio")),
        ("score before", plain("inception_score", 2)),
        ("after 8 bits", plain("int8_inception_score", 2)),
        ("Fréchet distance before", plain("frechet_distance", 1)),
        ("after 8 bits", plain("int8_frechet_distance", 1)),
    ]  # fmt: skip
    return page_table(_ordered(summary), columns)


def _ordered(summary: pd.DataFrame) -> pd.DataFrame:
    """Return rows by depth, the teacher first."""
    rank = summary["role"].map({"teacher": -1} | {role: at for at, role in enumerate(ORDER)})
    first = summary["depth"].where(summary["role"] != "teacher", -1)
    return summary.assign(rank=rank, first=first).sort_values(["first", "rank"])
