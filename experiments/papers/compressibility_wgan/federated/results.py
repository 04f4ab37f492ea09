"""From the records of the cells to the result files."""

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.papers.compressibility_wgan.federated.many_rounds import (
    COLUMNS,
    bytes_to_quality,
    with_quality_of_plain,
)
from flwr_gan import __version__
from flwr_gan.atomic import write_text

COUNTS = ("round", "samples", "samples_equal_cost", "parameters", "prunings")
ROUNDS_COLUMNS = ("data", "strategy", "wire", "seed", "status", "reason", *COLUMNS)
LIBRARIES = ("flwr", "torch", "numpy", "scikit-learn", "zstandard")


def write_tables(records: Sequence[dict[str, Any]], folder: Path) -> None:
    """Write the tables of all cells that have ended, completely or not at all."""
    pools = [record for record in records if "clients" in record["cell"]]
    rounds = [record for record in records if "wire" in record["cell"]]
    if pools:
        write_csv(pool_table(pools), folder / "one_shot.csv")
        write_csv(client_table(pools), folder / "one_shot_clients.csv")
    longer = [record for record in records if "federation" in record["cell"]]
    if longer:
        write_csv(longer_table(longer), folder / "longer_training.csv")
    if rounds:
        table = rounds_table(rounds)
        write_csv(table, folder / "many_rounds.csv")
        finished = table[table.status == "finished"]
        if len(finished):
            write_csv(bytes_to_quality(finished), folder / "bytes_to_quality.csv")


def pool_table(records: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return a row a one-shot cell; a failed one has its reason and no figures."""
    return pd.DataFrame(
        [
            {**record["cell"], "status": record["status"], "reason": record["reason"]}
            | record.get("row", {})
            | {"core_s": record["core_s"]}
            for record in records
        ]
    )


def client_table(records: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return a row a client of each finished one-shot cell."""
    return pd.DataFrame(
        [
            {"federation": record["cell"]["clients"], "partition": record["cell"]["partition"]}
            | client
            for record in records
            for client in record.get("clients", [])
        ]
    )


def longer_table(records: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return a row a federation whose dense generators were trained longer."""
    return pd.DataFrame(
        [
            {**record["cell"], "status": record["status"], "reason": record["reason"]}
            | record.get("longer", {})
            for record in records
        ]
    )


def rounds_table(records: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return a row a round of each run; a failed one has one row with its reason."""
    rows = [
        {**record["cell"], "status": record["status"], "reason": record["reason"]} | row
        for record in records
        for row in record.get("rounds", [{}])
    ]
    return with_quality_of_plain(pd.DataFrame(rows).reindex(columns=ROUNDS_COLUMNS))


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table with whole numbers as such and five figures of the others."""
    for column in table.columns:
        if str(column).endswith("bytes") or column in COUNTS:
            table[column] = table[column].astype("Int64")
    write_text(path, table.to_csv(index=False, float_format="%.5g"))


def write_run(
    records: Sequence[dict[str, Any]], folder: Path, *, command: str, planned: int
) -> None:
    """Write ``run.json``: versions, machine, date, and the settings and seconds of every cell."""
    parts = {"one_shot": "partition", "many_rounds": "wire"}
    core_s = {
        part: round(sum(r["core_s"] for r in records if key in r["cell"]), 1)
        for part, key in parts.items()
    }
    run = {
        "command": command,
        "date": max(record["date"] for record in records),
        "versions": {
            "flwr_gan": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in LIBRARIES},
        },
        "machine": {"cpu": cpu_model(), "cores": os.cpu_count(), "system": platform.system()},
        "core_s": core_s,
        "cells_planned": planned,
        "cells": [
            {**record["cell"], "status": record["status"]}
            | {key: record[key] for key in ("settings", "core_s")}
            for record in records
        ],
    }
    write_text(folder / "run.json", json.dumps(run, indent=1) + "\n")


def cpu_model() -> str:
    """Return what the processor calls itself."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
