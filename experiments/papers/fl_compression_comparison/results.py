"""Tables of the comparison from what finished runs have left; pictures are in ``pictures.py``."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.papers.fl_compression_comparison.pages import page_parts
from experiments.papers.fl_compression_comparison.pictures import write_pictures
from experiments.papers.fl_compression_comparison.setting import TABLE_5, Case
from experiments.papers.fl_compression_comparison.study import DENSE_BYTES, SUMMARY, is_finished
from experiments.study.statistics import average, intervals, matched
from experiments.study_files import machine, today, versions, write_parts, write_tables
from flwr_gan.errors import OutputError

PAGES = Path(__file__).parent
RESULTS = PAGES / "results"
LIBRARIES = ("flwr", "flwr-datasets", "torch", "numpy", "scipy", "pandas")
GROUP = ["partition", "clients", "algorithm", "method"]
MEASURES = ("test_accuracy", "test_loss", "train_accuracy", "train_loss")
COSTS = (
    "ratio", "up_ratio", "down_ratio", "message_ratio", "sparse_ratio", "uploaded_nonzero",
    "delay_s", "compute_s", "coding_s", "transfer_computed_s", "teacher_s",
)  # fmt: skip


def write_results(
    cases: Sequence[Case], folder: Path, results: Path, *, command: str, link_mbit: float
) -> Iterator[Path]:
    """Write every table and picture; yield their paths.

    The page beside this file is written anew where ``results`` is the folder beside it too;
    elsewhere its tables alone go to ``tables.md``.

    Parameters
    ----------
    cases : sequence of Case
        Those that are not finished are left out.
    folder : Path
        Where the runs are.
    results : Path
        Where tables and pictures go.
    command : str
        What was called, for ``run.json``.
    link_mbit : float
        Speed of a client's link in each direction, in Mbit/s.

    Raises
    ------
    OutputError
        If nothing is finished, or a file cannot be read or written.
    """
    finished = [case for case in cases if is_finished(case, folder)]
    if not finished:
        raise OutputError(f"no run in {folder} is finished: run it without --report first")
    runs = pd.DataFrame([read_run(case, folder, link_mbit=link_mbit) for case in finished])
    tables = {
        "runs.csv": runs,
        "summary.csv": summarise(runs),
        "differences.csv": differences(runs),
        "table5.csv": table_5(summarise(runs)),
        "rounds.csv": average_rounds(read_tables(finished, folder, "rounds.csv")),
        "codecs.csv": average(
            read_tables(finished, folder, "codecs.csv"), [*GROUP, "codec"],
            ["payload_bytes", "ratio"],
        ),
        "formulas.csv": formulas(finished, folder),
    }  # fmt: skip
    run = describe(cases, finished, folder, command=command, link_mbit=link_mbit)
    yield from write_tables(tables, run, results)
    yield from write_pictures(tables, results, link_mbit=link_mbit)
    parts = page_parts(tables, run)
    committed = results.resolve() == RESULTS.resolve()
    yield write_parts(parts, results, PAGES / "README.md", committed=committed)


def read_run(case: Case, folder: Path, *, link_mbit: float) -> dict[str, Any]:
    """Return one run as a row: quality after the last round, bytes, seconds of a usual round.

    Ratios refer to SimpleNN in float32, both directions together where no direction is named.
    Seconds are the slowest client's, the median over rounds; transfer is computed from measured
    message bytes at the link's speed, all else is measured.
    """
    place = folder / case.name
    try:
        summary = json.loads((place / SUMMARY).read_text(encoding="utf-8"))
        rounds, messages = pd.read_csv(place / "rounds.csv"), pd.read_csv(place / "messages.csv")
    except (OSError, ValueError) as error:
        raise OutputError(f"{place} cannot be read: {error}") from error
    messages = messages[messages["kind"] == "train"]
    own = messages[messages["codec"] == case.method.codec]
    sparse = messages[messages["codec"] == "sparse"]
    bits = 8 * own.groupby(["round", "client"])["message_bytes"].sum()
    coding = own[own.direction == "up"].set_index(["round", "client"])["encode_s"]
    coding = coding + own[own.direction == "down"].set_index(["round", "client"])["decode_s"]
    row = {name: value for name, value in summary.items() if name != "held"}
    row["uploaded_nonzero"] /= row["parameters"]
    for name, part in (("", own), ("up_", own[own.direction == "up"]),
                       ("down_", own[own.direction == "down"])):  # fmt: skip
        row[f"{name}ratio"] = part["payload_bytes"].sum() / (DENSE_BYTES * len(part))
    row["message_ratio"] = own["message_bytes"].sum() / (DENSE_BYTES * len(own))
    row["sparse_ratio"] = (
        sparse["payload_bytes"].sum() / (DENSE_BYTES * len(sparse)) if len(sparse) else None
    )
    trained = rounds[rounds["round"] > 0]
    row["teacher_s"] = trained["teacher_s"].iloc[0]
    row["compute_s"] = trained["compute_s"].median()
    row["coding_s"] = coding.groupby("round").max().median()
    row["transfer_computed_s"] = (bits.groupby("round").max() / (link_mbit * 1e6)).median()
    row["delay_s"] = row["compute_s"] + row["coding_s"] + row["transfer_computed_s"]
    return row


def read_tables(cases: Sequence[Case], folder: Path, name: str) -> pd.DataFrame:
    """Return one table of all runs, with the run's place in front."""
    parts = []
    for case in cases:
        try:
            part = pd.read_csv(folder / case.name / name)
        except (OSError, ValueError) as error:
            raise OutputError(f"{folder / case.name / name} cannot be read: {error}") from error
        parts.append(part.assign(**case.place)[[*case.place, *part.columns]])
    return pd.concat(parts, ignore_index=True)


def summarise(runs: pd.DataFrame) -> pd.DataFrame:
    """Return mean and interval over seeds of every measure and every cost."""
    return average(runs, GROUP, [*MEASURES, *COSTS])


def average_rounds(rounds: pd.DataFrame) -> pd.DataFrame:
    """Return the measures of each round, the mean over seeds."""
    table = average(rounds, [*GROUP, "round"], MEASURES)
    return table.drop(columns=[f"{name}_half_width" for name in MEASURES])


def differences(runs: pd.DataFrame) -> pd.DataFrame:
    """Return what each method changes against no compression with the same split and seed."""
    pair = ["partition", "clients", "algorithm", "seed"]
    is_base = runs["method"] == "none"
    rows = []
    for key, part in runs[~is_base].groupby(GROUP, sort=False):
        own, base = matched(part, runs[is_base], pair)
        if own.empty:
            continue
        row: dict[str, Any] = dict(zip(GROUP, key, strict=True)) | {"seeds": len(own)}
        rows.append(row | intervals(own[list(MEASURES)] - base[list(MEASURES)]))
    return pd.DataFrame(rows, columns=None if rows else [*GROUP, "seeds", *MEASURES])


def table_5(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the paper's Table 5 with ours beside it, for every split and algorithm."""
    rows = []
    for _, row in summary[summary["method"].isin(TABLE_5)].iterrows():
        if row["partition"] == "whole":
            continue
        published = TABLE_5[row["method"]]
        number = list(TABLE_5).index(row["method"]) + 1
        paper = {f"paper_{name}": value for name, value in asdict(published).items()}
        rows.append({"model": number} | paper | dict(row))
    return pd.DataFrame(rows)


def formulas(cases: Sequence[Case], folder: Path) -> pd.DataFrame:
    """Return what printed formulas do to trained SimpleNNs, the mean over seeds."""
    trained = [case for case in cases if case.method.name == "none" and case.partition != "whole"]
    columns = ("zeros", "largest_error", "test_accuracy", "test_loss")
    groups = ["partition", "algorithm", "formula"]
    if not trained:
        return pd.DataFrame(columns=[*groups, "seeds", *columns])
    return average(read_tables(trained, folder, "formulas.csv"), groups, columns)


def describe(
    cases: Sequence[Case], finished: Sequence[Case], folder: Path, *, command: str, link_mbit: float
) -> dict[str, Any]:
    """Return what was run, with what, on what, and for how long."""
    summaries = [
        json.loads((folder / case.name / SUMMARY).read_text(encoding="utf-8")) for case in finished
    ]
    names = [case.name for case in finished]
    return {
        "command": command,
        "date": today(),
        "runs": len(finished),
        "missing": [case.name for case in cases if case.name not in names],
        "seeds": sorted({case.seed for case in finished}),
        "hyperparameters": asdict(finished[0].hyperparameters),
        "link_mbit_per_s": link_mbit,
        "machine": machine(),
        "core_minutes": round(sum(summary["cpu_s"] for summary in summaries) / 60, 1),
        "samples_by_client_and_class": {
            case.name: summary["held"]
            for case, summary in zip(finished, summaries, strict=True)
            if case.method.name == "none" and case.partition == "dirichlet"
            and case.algorithm == finished[0].algorithm
        },
        "versions": versions(LIBRARIES),
    }  # fmt: skip
