"""Tables and the picture of the study, from what finished runs have left."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from experiments.continual.study import WAYS, Case, is_finished, read_result
from experiments.markdown import averaged, markdown_table, plus_minus
from experiments.statistics import average, matched, t_interval
from experiments.study_files import description, machine, today, versions, write_parts, write_tables
from flwr_gan.errors import OutputError
from flwr_gan.plots import save_figure

PAGES = Path(__file__).parent
RESULTS = PAGES / "results"
BASELINE = next(iter(WAYS))
MEASURED = (
    "old_accuracy_before", "old_accuracy", "new_accuracy", "forgetting_accuracy", "pool_accuracy",
    "frechet_distance", "uploads", "up_bytes", "down_bytes", "cpu_s",
)  # fmt: skip
CAPACITY = (
    "freed", "regained", "regained_shared", "pruned_at_end",
    "new_without_regained", "new_without_others", "old_without_regained", "old_without_others",
)  # fmt: skip
# Okabe and Ito; line styles tell the ways apart in grey.
_STYLES = {
    "as the preset": ("#000000", "-"),
    "no replay": ("#d55e00", "--"),
    "no regeneration": ("#0072b2", "-."),
    "neither": ("#cc79a7", ":"),
    "never dense again": ("#009e73", (0, (5, 1, 1, 1, 1, 1))),
    "never silent": ("#56b4e9", (0, (1, 1))),
}


def write_results(
    cases: Sequence[Case], folder: Path, results: Path, *, command: str
) -> Iterator[Path]:
    """Write tables and picture; yield their paths.

    The page beside this file is written anew where ``results`` is the folder beside it too;
    elsewhere its tables alone go to ``tables.md``.

    Raises
    ------
    OutputError
        If no run is finished, or a file cannot be read or written.
    """
    finished = [case for case in cases if is_finished(case, folder)]
    if not finished:
        raise OutputError(f"no run in {folder} is finished: run it without --report first")
    records = [(case, *read_result(case, folder)) for case in finished]
    runs = pd.DataFrame(
        [_place(case) | {name: found[name] for name in MEASURED} for case, found, _ in records]
    )
    clients = pd.DataFrame(
        [_place(case) | row for case, found, _ in records for row in found["capacity"]]
    )
    rounds = pd.concat([table.assign(**_place(case)) for case, _, table in records])
    summary = average(runs, ["way"], MEASURED)
    tables = {"runs.csv": runs, "summary.csv": summary}
    if len(clients):
        by_run = clients.groupby(["way", "seed"], sort=False)[list(CAPACITY)].mean().reset_index()
        tables |= {"clients.csv": clients, "capacity.csv": average(by_run, ["way"], CAPACITY)}
    run = {
        "command": command,
        "date": today(),
        "runs": len(finished),
        "missing": [case.name for case in cases if case not in finished],
        "seeds": sorted({case.seed for case in finished}),
        "core_minutes": round(float(runs["cpu_s"].sum()) / 60, 1),
        "machine": machine(),
        "versions": versions(("torch", "numpy", "flwr")),
    }
    yield from write_tables(tables, run, results)
    save_figure(course_figure(rounds), results / "course.png", dpi=130)
    yield results / "course.png"
    parts = {
        "ways": ways_table(summary),
        "differences": differences_table(runs),
        "capacity": capacity_table(tables.get("capacity.csv", pd.DataFrame())),
        "run": description(run),
    }
    committed = results.resolve() == RESULTS.resolve()
    yield write_parts(parts, results, PAGES / "README.md", committed=committed)


def ways_table(summary: pd.DataFrame) -> str:
    """Return the table of quality and bytes."""
    head = (
        "", "seeds", "old, before the change", "old, at the end", "new, at the end", "forgetting",
        "pool, all classes", "Fréchet distance", "uploads", "up, kB", "down, kB",
    )  # fmt: skip
    digits = (("old_accuracy_before", 3), ("old_accuracy", 3), ("new_accuracy", 3),
              ("forgetting_accuracy", 3), ("pool_accuracy", 3), ("frechet_distance", 2),
              ("uploads", 0))  # fmt: skip
    rows = [
        [
            str(row["way"]), str(row["seeds"]),
            *(averaged(row, name, places) for name, places in digits),
            *(averaged(row, name, 0, unit=1000) for name in ("up_bytes", "down_bytes")),
        ]
        for _, row in summary.iterrows()
    ]  # fmt: skip
    return markdown_table(head, rows)


def differences_table(runs: pd.DataFrame) -> str:
    """Return the table of differences to the preset of the same seed."""
    head = ("", "pairs", "old, at the end", "new, at the end", "up, kB")
    rows = []
    for way, part in runs.groupby("way", sort=False):
        own, base = matched(part, runs[runs["way"] == BASELINE], ["seed"])
        if way == BASELINE or own.empty:
            continue
        cells = []
        for name, places, unit in (
            ("old_accuracy", 3, 1), ("new_accuracy", 3, 1), ("up_bytes", 0, 1000),
        ):  # fmt: skip
            mean, half = t_interval((own[name] - base[name]) / unit)
            cells.append(plus_minus(mean, half, places, sign="+"))
        rows.append([str(way), str(len(own)), *cells])
    return markdown_table(head, rows)


def capacity_table(summary: pd.DataFrame) -> str:
    """Return the table of freed and regained weights, in percent, and of what they carry."""
    head = (
        "", "freed, % of weights", "regained, %", "of them shared, %", "pruned at the end, %",
        "new, without them", "... without others", "old, without them", "... without others",
    )  # fmt: skip
    rows = [
        [
            str(row["way"]),
            *(averaged(row, name, 1, unit=0.01) for name in CAPACITY[:4]),
            *(averaged(row, name, 2) for name in CAPACITY[4:]),
        ]
        for _, row in summary.iterrows()
    ]
    return markdown_table(head, rows)


def course_figure(rounds: pd.DataFrame) -> Figure:
    """Draw accuracy on old and new classes and cumulative uploads, a line a way."""
    figure = Figure(figsize=(10.5, 3.6), layout="constrained")
    old, new, carried = figure.subplots(1, 3)
    for way, part in rounds.groupby("way", sort=False):
        colour, line = _STYLES[str(way)]
        look = {"color": colour, "linestyle": line, "linewidth": 1.5, "label": str(way)}
        part = part.assign(carried=part.groupby("seed")["up_bytes"].cumsum() / 1e6)
        mean = part.groupby("round")[["accuracy_0", "accuracy_1", "carried"]].mean()
        for axes, column in ((old, "accuracy_0"), (new, "accuracy_1"), (carried, "carried")):
            axes.plot(mean.index, mean[column], **look)
    first = rounds.loc[rounds["stage"] > 0, "round"].min()
    for axes, title in (
        (old, "first classes: recognised"), (new, "new classes: recognised"),
        (carried, "uploaded so far, MB"),
    ):  # fmt: skip
        axes.axvline(first - 0.5, color="#666666", linewidth=0.8, linestyle=(0, (2, 3)))
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("round", fontsize=9)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_ylim(bottom=0)
    old.set_ylim(0, 1.02)
    new.set_ylim(0, 1.02)
    carried.legend(frameon=False, fontsize=8)
    return figure


def _place(case: Case) -> dict[str, Any]:
    return {"way": case.way, "seed": case.seed}
