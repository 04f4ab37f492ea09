"""One row per run: its settings, end, quality and bytes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from experiments.study.app_runs import is_begun, is_finished
from experiments.study.cases import CASE
from experiments.study.cases import RESULT as RECORD
from experiments.study.markdown import cell
from experiments.study.statistics import average
from flwr_gan.core.atomic import write_text
from flwr_gan.errors import OutputError

RESULTS = "results.csv"
ORDER = "jobs.txt"
"""File in the folder of a sweep: the names of the jobs' folders in their order."""
# Columns that identify a run that no sweep has started.
_IDENTITY = ("data", "strategy", "codec", "clients", "seed")
_COUNTS = ("clients", "seed", "rounds", "failures")
_OUTCOME = ("status", "reason", "output_dir", "trained_by")
_SHOWN = {
    "conditional_accuracy": "conditional acc.",
    "synthetic_accuracy": "synthetic acc.",
    "frechet_distance": "Fréchet",
    "test_accuracy": "test acc.",
}
QUALITY_HEADINGS = {
    **_SHOWN,
    **{key: key for key in ("precision", "recall", "density", "coverage")},
}


def run_folders(folder: Path) -> list[Path]:
    """Return the runs in a folder: itself and the runs of its other codecs, or the runs inside."""
    if not folder.is_dir():
        raise OutputError(f"{folder}: there is no such folder")
    inside = folder / "also" if is_begun(folder) else folder
    found = [folder] if is_begun(folder) else []
    if inside.is_dir():
        own = (path for path in inside.iterdir() if is_begun(path) or (path / RECORD).exists())
        found += sorted(own)
    if not found:
        raise OutputError(f"{folder} holds no run: name the folder of a run or of a sweep")
    places = {name: at for at, name in enumerate(read_order(folder))}
    return sorted(found, key=lambda path: (places.get(path.name, len(places)), path.name))


def read_order(folder: Path) -> list[str]:
    """Return the names of a sweep's jobs in their order, an empty list without a sweep."""
    path = folder / ORDER
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def read_results(folder: Path) -> pd.DataFrame:
    """Return the table of the runs in a folder, only from their result files.

    Columns are the settings of the runs' overrides, their identity, status, reason, output_dir,
    trained_by (the run whose training it shares), rounds, failures, the final metrics with the
    sparsity, the total bytes, the ratios and wall_s.
    """
    folders = run_folders(folder)
    values = [_read_json(path / CASE).get("values", {}) for path in folders]
    asked = list(dict.fromkeys(key for own in values for key in own))
    rows = [_row(path, own) for path, own in zip(folders, values, strict=True)]
    table = pd.DataFrame(rows)
    counted = [str(key) for key in table if key in _COUNTS or str(key).endswith("_bytes")]
    for key in counted:
        if all(pd.isna(value) or isinstance(value, int) for value in table[key].astype(object)):
            table[key] = table[key].astype("Int64")  # integers, even with empty cells
    first = [*asked, *(key for key in (*_IDENTITY, *_OUTCOME) if key not in asked)]
    rest = [column for column in table.columns if column not in first]
    return table.reindex(columns=[*first, *rest])


def write_results(folder: Path) -> pd.DataFrame:
    """Write ``results.csv``, completely or not at all, and return the table."""
    table = read_results(folder)
    write_text(folder / RESULTS, table.to_csv(index=False))
    return table


def varying_columns(table: pd.DataFrame) -> list[str]:
    """Return the settings that differ between rows, without those that another one implies."""
    kept: list[str] = []
    for key in list(table.columns)[: list(table.columns).index("status")]:
        # A failed run has no summary with its identity.
        known = table[table[key].notna()] if key in _IDENTITY else table
        codes = _codes(known[key])
        implied = any((codes == _codes(known[other])).all() for other in kept)
        if codes.size and codes.max() > 0 and not implied:
            kept.append(key)
    return kept


def closing_table(table: pd.DataFrame) -> str:
    """Return the most important columns of a table as text; seeds as mean and interval."""
    keys = varying_columns(table) or [key for key in ("codec",) if key in table]
    shown = table[[*keys, "status"]].fillna("")
    measures = {}
    if "up_bytes" in table:
        measures = {
            "up kB": (table["up_bytes"].astype(float) / 1000, 1),
            "down kB": (table["down_bytes"].astype(float) / 1000, 1),
            "payload ratio": (table["payload_up_ratio"].astype(float), 2),
            "message ratio": (table["message_up_ratio"].astype(float), 2),
            "sparsity %": (100 * table["sparsity"], 1),
        }
    measures |= {label: (table[key], 3) for key, label in _SHOWN.items() if key in table}
    if "virtual_s_to_target" in table:
        measures["virtual s to target"] = (table["virtual_s_to_target"], 1)
    for label, (column, digits) in measures.items():
        shown[label] = column.astype(float).round(digits)
    groups = [key for key in (*keys, "status") if key != "seed"]
    if "seed" in keys and len(shown[groups].drop_duplicates()) < len(shown):
        shown = average(shown, groups, measures)
        for label, (_, digits) in measures.items():
            shown[label] = [cell(row, (label, digits)) for _, row in shown.iterrows()]
            shown = shown.drop(columns=f"{label}_half_width")
    lines = [shown.to_string(index=False, na_rep="-")]
    if "payload_up_ratio" in table:
        lines.append("ratios: bytes of dense float32 per byte sent up")
    return "\n".join(lines)


def _codes(column: "pd.Series[Any]") -> npt.NDArray[np.intp]:
    """Return the index of each value among the distinct ones, in order of appearance."""
    codes: npt.NDArray[np.intp] = pd.factorize(column.astype(str))[0]
    return codes


def _read_json(path: Path) -> dict[str, Any]:
    """Return the contents of a JSON file, an empty dict if there is none."""
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise OutputError(f"{path} is damaged: {error}; remove it") from error


def _row(folder: Path, values: dict[str, Any]) -> dict[str, Any]:
    summary, reason = read_summary(folder), str(_read_json(folder / RECORD).get("reason", ""))
    if reason:
        summary = None
    row: dict[str, Any] = {} if summary is None else {key: summary.get(key) for key in _IDENTITY}
    unfinished = "failed" if reason else "unfinished"
    row |= values | {
        "status": unfinished if summary is None else "finished",
        "reason": reason or None,
        "output_dir": str(folder),
        "trained_by": None if summary is None else summary.get("trained_by", str(folder)),
    }
    if summary is not None:
        row |= {key: summary.get(key) for key in ("rounds", "failures")}
        final = {key: value for key, value in summary["final"].items() if key != "wall_s"}
        row |= final | summary["totals"] | {"wall_s": summary["wall_s"]}
        row |= summary.get("to_target", {})
    return row


def read_summary(folder: Path) -> dict[str, Any] | None:
    """Return the summary of a run, None if there is none."""
    path = folder / "summary.json"
    if not is_finished(folder):
        return None
    try:
        summary: dict[str, Any] = json.loads(path.read_text())
        if not all(isinstance(summary[key], dict) for key in ("final", "totals")):
            raise TypeError("final or totals is no table")
        float(summary["wall_s"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise OutputError(f"{path} cannot be read: {reason}; remove it and resume") from error
    return summary
