"""The tables of the comparison, from what finished runs have left."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.federated_regeneration.study import QUALITY, WAYS, comparison
from experiments.study.markdown import averaged, markdown_table, plus_minus
from experiments.study.statistics import average, matched, t_interval
from experiments.study_files import machine, today, versions, write_parts, write_tables
from flwr_gan.errors import OutputError

PAGES = Path(__file__).parent
RESULTS = PAGES / "results"
_HEAD = ("Fréchet distance", "conditional accuracy", "synthetic accuracy", "coverage")
_GROUPS = ("regeneration", "way")


def write_results(
    seeds: Sequence[int],
    regenerations: Sequence[str],
    folder: Path,
    results: Path,
    *,
    command: str,
) -> Iterator[Path]:
    """Write the tables; yield their paths.

    Raises
    ------
    OutputError
        If no run is finished, or a file cannot be written.
    """
    runs = comparison(seeds, folder, regenerations=regenerations)
    if runs.empty:
        raise OutputError(f"no run in {folder} is finished: run it without --report first")
    summary = average(runs, _GROUPS, ["sparsity", "payload_up_bytes", *QUALITY, "wall_s"])
    run: dict[str, Any] = {
        "command": command,
        "date": today(),
        "runs": len(runs),
        "seeds": sorted({int(seed) for seed in runs["seed"]}),
        "machine": machine(),
        "versions": versions(("torch", "numpy", "flwr")),
    }
    yield from write_tables({"runs.csv": runs, "summary.csv": summary}, run, results)
    parts = {
        "ways": ways_table(summary),
        "differences": differences_table(runs),
        "run": f"`{command}`, {run['date']}: {len(runs)} runs, seeds "
        f"{', '.join(map(str, run['seeds']))}.",
    }
    committed = results.resolve() == RESULTS.resolve()
    yield write_parts(parts, results, PAGES / "README.md", committed=committed)


def ways_table(summary: pd.DataFrame) -> str:
    """Return the table of bytes and quality."""
    head = ("regeneration", "tickets by", "seeds", "pruned, %", "uploads, kB", *_HEAD)
    rows = [
        [
            str(row["regeneration"]), str(row["way"]), str(row["seeds"]),
            averaged(row, "sparsity", 1, unit=0.01),
            averaged(row, "payload_up_bytes", 0, unit=1000),
            *(averaged(row, name, 3) for name in QUALITY),
        ]
        for _, row in summary.iterrows()
    ]  # fmt: skip
    return markdown_table(head, rows)


def differences_table(runs: pd.DataFrame) -> str:
    """Return the table of what regeneration has more than iterative pruning of the same seed."""
    rows = []
    for name, part in runs.groupby("regeneration", sort=False):
        first, second = (part[part["way"] == way] for way in WAYS)
        own, other = matched(first, second, ["seed"])
        cells = []
        for measure in ("payload_up_bytes", *QUALITY):
            ratio = measure == "payload_up_bytes"
            difference = 100 * (own[measure] / other[measure] - 1) if ratio else (
                own[measure] - other[measure]
            )  # fmt: skip
            mean, half = t_interval(difference)
            digits = 1 if ratio else 3
            cells.append(plus_minus(mean, half, digits, sign="+"))
        rows.append([str(name), str(len(own)), *cells])
    return markdown_table(("regeneration", "pairs", "uploads, %", *_HEAD), rows)
