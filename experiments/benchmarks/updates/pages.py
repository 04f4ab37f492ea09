"""The tables of README.md."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from experiments.benchmarks.updates.cases import Task
from experiments.study.markdown import markdown_table, number
from experiments.study.results import machine, today

_HEAD = (
    "uploads", "broadcasts", "settings", "seeds", "rounds", "quality at the end",
    "level reached in round", "MB by then", "times fewer",
    "MB in all", "times fewer", "uploads, times fewer",
)  # fmt: skip


def page_parts(
    summary: pd.DataFrame, tasks: Sequence[Task], *, command: str, core_minutes: float
) -> dict[str, str]:
    """Return the text of each marker of the page."""
    parts = {task.name: task_table(summary[summary["task"] == task.name]) for task in tasks}
    fewest, most = summary["seeds"].min(), summary["seeds"].max()
    seeds = str(most) if fewest == most else f"{fewest} to {most}"
    return parts | {
        "run": f"`{command}`, {today()}: seeds a row: {seeds}, {core_minutes:.0f} core-minutes, "
        f"one thread, {machine()}."
    }


def task_table(summary: pd.DataFrame) -> str:
    """Return the rows of a task, in the order of the runs."""
    rows = [
        [
            f"`{row['codec_up']}`",
            f"`{row['codec_down']}`",
            f"`{row['settings']}`" if row["settings"] else "",
            str(row["seeds"]),
            f"{row['rounds']:.0f}",
            f"{row['final']:.4f}",
            number(row["reached_round"], 1),
            with_and_without(row, "reached_bytes", 3, unit=1e6),
            with_and_without(row, "ratio_reached_bytes", 1),
            with_and_without(row, "bytes", 3, unit=1e6),
            with_and_without(row, "ratio_bytes", 1),
            number(row["ratio_up_bytes"], 1),
        ]
        for _, row in summary.iterrows()
    ]
    return markdown_table(_HEAD, rows)


def cost_table(costs: pd.DataFrame) -> str:
    """Return what encoding takes."""
    rows = [
        [
            f"`{row['codec']}`",
            number(row["seconds"], 3),
            number(row["ratio"], 2),
            number(row["sending_s"], 3),
            number(row["sending_ratio"], 2),
        ]
        for _, row in costs.iterrows()
    ]
    head = ("codec", "payload, s", "to selection", "with error feedback, s", "to selection")
    return markdown_table(head, rows)


def with_and_without(row: Any, name: str, digits: int, *, unit: float = 1) -> str:
    """Return a measure with the first broadcast, and in brackets without."""
    every, later = (number(row[key] / unit, digits) for key in (name, f"{name}_later"))
    return every if every == "-" else f"{every} ({later})"
