"""Writes tables, picture and page from finished runs."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from experiments.benchmarks.output import RESULTS, write_measured
from experiments.benchmarks.updates.cases import Task
from experiments.benchmarks.updates.cost import measure_costs
from experiments.benchmarks.updates.pages import cost_table, page_parts
from experiments.benchmarks.updates.runs import Case
from experiments.benchmarks.updates.tables import GROUPS, read_all, summarise
from experiments.study.figures import tidy
from experiments.study.markdown import write_parts
from experiments.study.results import write_table
from flwr_gan.plots import save_figure

PAGE = Path(__file__).parent / "README.md"
SHOWN_BELOW = 0.25  # of the level; first rounds may be worse
_STYLES = ("-", "--", "-.", ":")
_COLOURS = (
    "#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c564b",
)  # fmt: skip


def write_results(
    cases: Sequence[Case], folder: Path, results: Path, *, command: str
) -> Iterator[Path]:
    """Write tables and picture; yield their paths.

    The page beside this file is written anew where ``results`` is the folder of what is committed;
    elsewhere its tables alone go to ``tables.md``.

    Raises
    ------
    OutputError
        If no run is finished, or a file cannot be read or written.
    """
    rounds, seconds = read_all(cases, folder)
    tasks = list(
        dict.fromkeys(case.task for case in cases if case.task.name in set(rounds["task"]))
    )
    summary = summarise(rounds, tasks)
    write_measured(rounds, results / "updates.csv", command=command)
    yield results / "updates.csv"
    yield write_table(summary, results / "updates_summary.csv")
    save_figure(picture(rounds, tasks), results / "updates.png")
    yield results / "updates.png"
    parts = page_parts(summary, tasks, command=command, core_minutes=seconds / 60)
    yield write_parts(parts, [PAGE], results, committed=_committed(results)) or PAGE


def write_costs(results: Path, *, short: bool, command: str) -> Iterator[Path]:
    """Measure what encoding takes and write the table; yield the paths."""
    costs = measure_costs(short=short)
    write_measured(costs, results / "updates_cost.csv", command=command)
    yield results / "updates_cost.csv"
    parts = {"cost": cost_table(costs)}
    yield write_parts(parts, [PAGE], results, committed=_committed(results)) or PAGE


def picture(rounds: pd.DataFrame, tasks: Sequence[Task]) -> Figure:
    """Draw quality against the bytes of all messages so far, means over seeds, a panel a task."""
    figure = Figure(figsize=(11.0, 4.0 * len(tasks)), layout="constrained")
    panels = figure.subplots(len(tasks), 1, squeeze=False)[:, 0]
    for axes, task in zip(panels, tasks, strict=True):
        own = rounds[rounds["task"] == task.name]
        own = own.assign(messages=own["up_message_bytes"] + own["down_message_bytes"])
        for number, (key, part) in enumerate(own.groupby(GROUPS, sort=False)):
            mean = part.groupby("round")[["quality", "messages"]].mean()
            _, up, down, settings = map(str, key)
            both = up if up == down else f"{up} up, {down} down"
            axes.plot(
                mean["messages"].cumsum()[1:] / 1e6,
                mean["quality"][1:],
                color=_COLOURS[number % len(_COLOURS)],
                linestyle=_STYLES[number // len(_COLOURS) % len(_STYLES)],
                linewidth=1.5,
                label=" ".join(filter(None, (both, settings))),
            )
        axes.axhline(task.level, color="#999999", linewidth=0.8)
        axes.set_ylim(bottom=task.level - SHOWN_BELOW)
        axes.set_xscale("log")
        axes.set_xlabel("whole messages of all clients, both ways, MB")
        axes.set_ylabel(task.quality.replace("_", " "))
        axes.set_title(task.title, fontsize=10)
        tidy(axes, which="both")
        axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def _committed(results: Path) -> bool:
    return results.resolve() == RESULTS.resolve()
