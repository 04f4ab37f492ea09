"""The tables of README.md, from the tables of results."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from experiments.papers.gan_distillation.setting import PUBLISHED_TEACHER, ROLES
from experiments.study.markdown import Cell, Columns, cell, markdown_table, number, page_table
from experiments.study.results import description

ORDER = ("mse", "mse_longer", "joint", "regular", "regular_longer")


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
        "table 1": table_1(tables["table1.csv"], summary, real),
        "quality": quality(summary, real),
        "differences": differences(tables["differences.csv"]),
        "bytes": sizes(summary),
        "run": description(run, details),
    }


def table_1(table: pd.DataFrame, summary: pd.DataFrame, real: Mapping[str, float]) -> str:
    """Return the paper's MNIST rows with ours beside, a row a depth, the teachers last."""
    head = (
        "d", "parameters", "ratio: paper", "ours", "student: paper", "ours, MSE",
        "ours, MSE, longer", "ours, joint", "regular: paper", "ours", "ours, longer",
    )  # fmt: skip
    rows = []
    for _, row in table.iterrows():
        students, regular = (
            [cell(row, (f"inception_score_{role}", 2)) for role in roles]
            for roles in (ORDER[:3], ORDER[3:])
        )
        rows.append([
            f"{row['depth']:.0f}", f"{row['parameters']:,.0f}", cell(row, ("paper_ratio", 0)),
            f"{row['ratio']:.1f}", cell(row, ("paper_student", 2)), *students,
            cell(row, ("paper_regular", 2)), *regular,
        ])  # fmt: skip
    (own,) = summary[summary["role"] == "teacher"].to_dict("records")
    depth, parameters, papers = PUBLISHED_TEACHER
    size, score = f"{own['parameters']:,.0f}", f"{own['inception_score']:.2f}"
    blank = [""] * 4
    rows += [
        [f"{own['depth']}, our teacher", size, "", "1", *blank, "", score, ""],
        [f"{depth}, the paper's", f"{parameters:,}", "1", "", *blank, f"{papers:.2f}", "", ""],
        ["real images", *[""] * 8, f"{real['inception_score']:.2f}", ""],
    ]
    return markdown_table(head, rows)


def quality(summary: pd.DataFrame, real: Mapping[str, float]) -> str:
    """Return all other measures, a row a generator."""
    images = pd.DataFrame([{**real, "depth": "", "seeds": "", "role": "real"}])
    shown = pd.concat([_ordered(summary), images])

    def near(row: Any) -> str:
        return cell(row, ("psnr_db", 1)) if row["role"].startswith(("mse", "joint")) else ""

    columns: Columns = [
        ("d", "depth"),
        ("trained as", lambda row: ROLES.get(row["role"], "real images")),
        ("seeds", "seeds"),
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


def differences(table: pd.DataFrame) -> str:
    """Return student minus regular GAN, with the least favourable seed."""
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
    """Return bytes and ratios to the teacher in float32, and what 8 bits cost."""

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
