"""Tables, picture and page: rounds and bytes until runs reach their task's level."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from experiments.benchmarks.updates.cases import PLAIN, TASKS, Task
from experiments.study.cases import Record, all_rows
from experiments.study.figures import tidy
from experiments.study.markdown import Columns, number, page_table

WINDOW = 3
GROUPS = ["task", "codec_up", "codec_down", "settings"]
COLUMNS = [
    "task", "codec_up", "codec_down", "seed", "round", "quality",
    "up_message_bytes", "down_message_bytes", "up_payload_bytes", "down_payload_bytes", "settings",
]  # fmt: skip
SHOWN_BELOW = 0.25  # lower limit of the axis below the level; first rounds may be worse
_STYLES = ("-", "--", "-.", ":")
_COLOURS = (
    "#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c564b",
)  # fmt: skip


def tables(records: Sequence[Record]) -> dict[str, pd.DataFrame]:
    """Return the rounds of all runs, and means over seeds."""
    rounds = all_rows(records, "rounds")[COLUMNS]
    tasks = list(dict.fromkeys(record.case.task for record in records))
    return {"updates.csv": rounds, "updates_summary.csv": summarise(rounds, tasks)}


def summarise(rounds: pd.DataFrame, tasks: Sequence[Task]) -> pd.DataFrame:
    """Return one row per wire: means over seeds.

    ``reached_round`` is the first round at which the mean quality of the last three rounds is at
    the task's level, NaN unless every seed reaches it; ``reached_bytes`` are the bytes of all
    messages up to it, both ways. ``bytes`` and ``up_bytes`` are those of all rounds; ``_later``
    is without the first broadcast. ``final`` is the mean quality of the last three rounds, and
    ``ratio...`` the bytes of plain Flower divided by those of the wire.
    """
    levels = {task.name: task.level for task in tasks}
    rows = []
    for key, part in rounds.groupby([*GROUPS, "seed"], sort=False):
        place = dict(zip([*GROUPS, "seed"], key, strict=True))
        rows.append(place | _of_run(part, levels[str(place["task"])]))
    runs = pd.DataFrame(rows)
    measures = [name for name in runs if name not in (*GROUPS, "seed")]
    found = []
    for key, part in runs.groupby(GROUPS, sort=False):
        mean = part[measures].mean(skipna=False).to_dict()
        found.append(dict(zip(GROUPS, key, strict=True)) | {"seeds": len(part)} | mean)
    table = pd.DataFrame(found)
    plain = table[(table["codec_up"] == PLAIN) & (table["settings"] == "")].set_index("task")
    for name in ("reached_bytes", "reached_bytes_later", "bytes", "bytes_later", "up_bytes"):
        table[f"ratio_{name}"] = table["task"].map(plain[name]) / table[name]
    return table


def _of_run(part: pd.DataFrame, level: float) -> dict[str, float]:
    ordered = part.sort_values("round")
    messages = ordered["up_message_bytes"] + ordered["down_message_bytes"]
    first = float(messages.iloc[0])
    mean = ordered["quality"].where(ordered["round"] > 0).rolling(WINDOW).mean()
    reached = mean >= level
    by_then = float(messages.cumsum()[reached].iloc[0]) if reached.any() else float("nan")
    return {
        "reached_round": float(ordered["round"][reached].min()),
        "reached_bytes": by_then,
        "reached_bytes_later": by_then - first,
        "rounds": float(ordered["round"].max()),
        "final": float(mean.iloc[-1]),
        "bytes": float(messages.sum()),
        "bytes_later": float(messages.sum()) - first,
        "up_bytes": float(ordered["up_message_bytes"].sum()),
        "up_payload_bytes": float(ordered["up_payload_bytes"].sum()),
    }


def page(tables: Mapping[str, pd.DataFrame], run: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each marker of the page."""
    summary = tables["updates_summary.csv"]
    parts = {str(name): task_table(part) for name, part in summary.groupby("task", sort=False)}
    fewest, most = summary["seeds"].min(), summary["seeds"].max()
    seeds = str(most) if fewest == most else f"{fewest} to {most}"
    return parts | {
        "run": f"`{run['command']}`, {run['date']}: seeds a row: {seeds}, "
        f"{run['core_minutes']:.0f} core-minutes, one thread, {run['machine']}."
    }


def task_table(summary: pd.DataFrame) -> str:
    """Return the rows of a task in the order of the runs; brackets exclude the first broadcast."""

    def with_and_without(name: str, digits: int, unit: float = 1) -> Callable[[Any], str]:
        def text(row: Any) -> str:
            every, later = (number(row[key] / unit, digits) for key in (name, f"{name}_later"))
            return every if every == "-" else f"{every} ({later})"

        return text

    columns: Columns = [
        ("uploads", lambda row: f"`{row['codec_up']}`"),
        ("broadcasts", lambda row: f"`{row['codec_down']}`"),
        ("settings", lambda row: f"`{row['settings']}`" if row["settings"] else ""),
        ("seeds", "seeds"),
        ("rounds", ("rounds", 0)),
        ("quality at the end", lambda row: f"{row['final']:.4f}"),
        ("level reached in round", lambda row: number(row["reached_round"], 1)),
        ("MB by then", with_and_without("reached_bytes", 3, unit=1e6)),
        ("times fewer", with_and_without("ratio_reached_bytes", 1)),
        ("MB in all", with_and_without("bytes", 3, unit=1e6)),
        ("times fewer", with_and_without("ratio_bytes", 1)),
        ("uploads, times fewer", lambda row: number(row["ratio_up_bytes"], 1)),
    ]
    return page_table(summary, columns)


def figures(tables: Mapping[str, pd.DataFrame], records: Sequence[Record]) -> dict[str, Figure]:
    """Draw quality against cumulative message bytes, one panel per task."""
    rounds = tables["updates.csv"]
    rounds = rounds.assign(messages=rounds["up_message_bytes"] + rounds["down_message_bytes"])
    tasks = [TASKS[name] for name in rounds["task"].unique()]
    figure = Figure(figsize=(11.0, 4.0 * len(tasks)), layout="constrained")
    panels = figure.subplots(len(tasks), 1, squeeze=False)[:, 0]
    for axes, task in zip(panels, tasks, strict=True):
        own = rounds[rounds["task"] == task.name]
        for place, (key, part) in enumerate(own.groupby(GROUPS, sort=False)):
            mean = part.groupby("round")[["quality", "messages"]].mean()
            _, up, down, settings = map(str, key)
            both = up if up == down else f"{up} up, {down} down"
            axes.plot(
                mean["messages"].cumsum()[1:] / 1e6,
                mean["quality"][1:],
                color=_COLOURS[place % len(_COLOURS)],
                linestyle=_STYLES[place // len(_COLOURS) % len(_STYLES)],
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
    return {"updates.png": figure}
