"""Tables and the picture of the study, from what finished runs have left."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from experiments.study.markdown import averaged, markdown_table
from experiments.privacy.setting import LONGER, PLAIN, Case
from experiments.privacy.study import SCORES, is_finished, read_result
from experiments.study.statistics import average
from experiments.study_files import description, machine, today, versions, write_parts, write_tables
from flwr_gan.errors import OutputError
from flwr_gan.metrics.membership import ATTACKS
from flwr_gan.plots import save_figure

PAGES = Path(__file__).parent
RESULTS = PAGES / "results"
MEASURED = (
    *SCORES, *ATTACKS, "payload_bytes", "sparsity", "epsilon", "noise_multiplier", "cpu_s",
)  # fmt: skip
_TITLES = {PLAIN: "no noise", LONGER: "no noise, longer"}
_PANELS = {
    "frechet_distance": "Fréchet distance",
    "conditional_accuracy": "conditional accuracy",
    "payload_bytes": "payload, bytes",
    "nearest": "membership AUC, nearest",
}
_COLOURS = ("#0072b2", "#d55e00", "#009e73")


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
    records = [(case, read_result(case, folder)) for case in finished]
    runs = run_rows(records)
    attacks = pd.DataFrame([_place(c) | row for c, record in records for row in record["attacks"]])
    summary = summarise(runs)
    tables = {"runs.csv": runs, "attacks.csv": attacks, "summary.csv": summary}
    run = {
        "command": command,
        "date": today(),
        "runs": len(finished),
        "missing": [case.name for case in cases if case not in finished],
        "seeds": sorted({case.seed for case in finished}),
        "core_minutes": round(float(runs["cpu_s"].sum()) / 60, 1),
        "machine": machine(),
        "versions": versions(("torch", "numpy", "opacus")),
    }
    yield from write_tables(tables, run, results, float_format="%.6g")
    save_figure(budget_figure(summary), results / "epsilon.png", dpi=110)
    yield results / "epsilon.png"
    parts = {"epsilon": budget_table(summary), "run": description(run)}
    committed = results.resolve() == RESULTS.resolve()
    yield write_parts(parts, results, PAGES / "README.md", committed=committed)


def run_rows(records: Sequence[tuple[Case, dict[str, Any]]]) -> pd.DataFrame:
    """Return a row a run; an attack's AUC is the mean over its uploads."""
    rows = []
    for case, record in records:
        row = _place(case) | {name: record.get(name, float("inf")) for name in MEASURED}
        for attack in ATTACKS:
            row[attack] = sum(a[attack] for a in record["attacks"]) / len(record["attacks"])
        row["noise_multiplier"] = record.get("noise_multiplier", 0.0)
        rows.append(row)
    return pd.DataFrame(rows)


def summarise(runs: pd.DataFrame) -> pd.DataFrame:
    """Return mean and half of the 95 % t interval over seeds of all that is measured."""
    groups = ["data", "budget"]
    summary = average(runs, groups, [name for name in MEASURED if name != "epsilon"])
    epsilon = runs.groupby(groups, sort=False)["epsilon"].max()  # a bound, infinite without noise
    summary.insert(list(summary).index("noise_multiplier"), "epsilon", epsilon.to_numpy())
    return summary


def budget_table(summary: pd.DataFrame) -> str:
    """Return the table of the page."""
    head = (
        "data", "target epsilon", "epsilon spent", "noise multiplier", "seeds", "Fréchet distance",
        "coverage", "conditional accuracy", "synthetic accuracy", "payload, bytes",
        "AUC nearest", "AUC Monte Carlo",
    )  # fmt: skip
    rows = [
        [
            str(row["data"]), _TITLES.get(str(row["budget"]), str(row["budget"])),
            f"{row['epsilon']:.2f}".replace("inf", "∞"), f"{row['noise_multiplier']:.2f}",
            str(row["seeds"]), averaged(row, "frechet_distance", 2), averaged(row, "coverage", 2),
            averaged(row, "conditional_accuracy", 3), averaged(row, "synthetic_accuracy", 3),
            averaged(row, "payload_bytes", 0), averaged(row, "nearest", 3),
            averaged(row, "monte_carlo", 3),
        ]
        for _, row in summary.iterrows()
    ]  # fmt: skip
    return markdown_table(head, rows)


def budget_figure(summary: pd.DataFrame) -> Figure:
    """Draw quality, bytes and AUC against epsilon; a dashed line is training without noise."""
    figure = Figure(figsize=(3.6 * len(_PANELS), 3.4), layout="constrained")
    for axes, (name, title) in zip(figure.subplots(1, len(_PANELS)), _PANELS.items(), strict=True):
        for colour, (data, part) in zip(
            _COLOURS, summary.groupby("data", sort=False), strict=False
        ):
            own = part[~part["budget"].isin([PLAIN, LONGER])]
            own = own.assign(target=own["budget"].astype(float)).sort_values("target")
            half = own[f"{name}_half_width"].fillna(0.0)
            axes.errorbar(own["target"], own[name], half, color=colour, marker="o", ms=4, lw=1.4,
                          capsize=2, label=str(data))  # fmt: skip
            for value in part.loc[part["budget"] == PLAIN, name]:
                axes.axhline(value, color=colour, ls="--", lw=1)
            for value in part.loc[part["budget"] == LONGER, name]:
                axes.axhline(value, color=colour, ls=":", lw=1)
        if not summary["budget"].isin([PLAIN, LONGER]).all():
            axes.set_xscale("log")
        if name == "frechet_distance":
            axes.set_yscale("log")
        axes.set_xlabel("target epsilon of each client", fontsize=9)
        axes.set_title(title, fontsize=10)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False, fontsize=9)
    return figure


def _place(case: Case) -> dict[str, Any]:
    return {"data": case.data, "budget": case.budget, "seed": case.seed}
