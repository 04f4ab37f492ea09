"""Read the files of runs for a report; an incomplete or invalid file is named in an error."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from experiments.results_table import read_results, read_summary, varying_columns
from flwr_gan.core.atomic import write_text
from flwr_gan.errors import OutputError
from flwr_gan.wire import load

COMMANDS = "commands.txt"  # file in a sweep's folder: one line per command that started the sweep
_ROUND_COLUMNS = ("round", "up_bytes", "down_bytes", "sparsity", "wall_s")
_MESSAGE_COLUMNS = ("codec", "encode_s", "decode_s")


@dataclass(frozen=True)
class RunFiles:
    """The files of one run."""

    folder: Path  # its output folder
    label: str  # distinguishes it from the other runs of the report
    row: Mapping[Any, Any]  # its row of the table of results

    @property
    def status(self) -> str:
        """``finished``, ``failed`` or ``unfinished``."""
        return str(self.row["status"])

    @property
    def trains(self) -> bool:
        """Whether the run did its own training instead of sharing another run's."""
        return self.status != "finished" or self.row["trained_by"] == str(self.folder)

    @cached_property
    def rounds(self) -> pd.DataFrame:
        """``rounds.csv``, empty if there is none."""
        return _table(self.folder / "rounds.csv", _ROUND_COLUMNS)

    @cached_property
    def messages(self) -> pd.DataFrame:
        """``messages.csv``, empty if there is none."""
        return _table(self.folder / "messages.csv", _MESSAGE_COLUMNS)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """``summary.json``, empty if there is none."""
        return read_summary(self.folder) or {}

    @cached_property
    def config(self) -> str:
        """The text of ``config.yaml``, empty if there is none."""
        path = self.folder / "config.yaml"
        if not path.exists():
            return ""
        try:
            text = path.read_text()
            settings = yaml.safe_load(text)
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise OutputError(f"{path} cannot be read: {_line(error)}") from error
        if not isinstance(settings, dict):
            raise OutputError(f"{path} cannot be read: it holds no settings")
        return text

    def picture(self, name: str) -> Path | None:
        """Return the path of the run's picture, such as ``samples.png``; None if it is missing."""
        path = self.folder / name
        return path if path.exists() else None

    @cached_property
    def layer_sparsity(self) -> dict[str, float]:
        """Share of zeros per array of the global generator, or else the mean over clients."""
        files = sorted((self.folder / "generators").glob("*.fgan"))
        kept = [path for path in files if path.stem == "global"] or files
        shares: dict[str, list[float]] = {}
        for path in kept:
            for name, array in load(path).items():
                if array.ndim > 1:
                    shares.setdefault(name, []).append(1 - np.count_nonzero(array) / array.size)
        return {name: float(np.mean(values)) for name, values in shares.items()}


@dataclass(frozen=True)
class Results:
    """The runs of all folders of one report."""

    folders: tuple[Path, ...]  # as given
    table: pd.DataFrame  # one row per run; with several folders it has the column ``folder``
    runs: tuple[RunFiles, ...]  # in the order of the table
    commands: tuple[str, ...]  # commands that started the sweeps among the folders
    sweeps: tuple[Path, ...]  # folders that these commands wrote to

    @property
    def factors(self) -> list[str]:
        """The settings that differ between the runs."""
        return varying_columns(self.table)


def read_folders(folders: tuple[Path, ...]) -> Results:
    """Read the runs in the named folders."""
    tables = [read_results(folder) for folder in folders]
    if len(folders) > 1:
        for folder, table in zip(folders, tables, strict=True):
            table.insert(0, "folder", str(folder))
    table = _joined(tables)
    names = _short_names(table)
    runs = tuple(
        RunFiles(Path(row["output_dir"]), _label(row, names), row)
        for row in table.to_dict("records")
    )
    for run in runs:
        _ = run.config, run.summary, run.rounds, run.messages  # raises an error if one is wrong
    commands = {folder: read_commands(folder) for folder in folders}
    lines = dict.fromkeys(line for several in commands.values() for line in several)
    sweeps = tuple(folder for folder in folders if commands[folder])
    return Results(folders, table, runs, tuple(lines), sweeps)


def read_commands(folder: Path) -> list[str]:
    """Return the commands that started a sweep, in their order."""
    path = folder / COMMANDS
    if not path.exists():
        return []
    try:
        return path.read_text().splitlines()
    except (OSError, ValueError) as error:
        raise OutputError(f"{path} cannot be read: {_line(error)}; remove it") from error


def add_command(folder: Path, command: str) -> None:
    """Add a command to those that started a sweep, unless it is there."""
    known = read_commands(folder)
    if command not in known:
        write_text(folder / COMMANDS, "\n".join([*known, command]) + "\n")


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Return concatenated tables, with the settings of all of them before the status."""
    if len(tables) == 1:
        return tables[0]
    settings: dict[str, None] = {}
    measures: dict[str, None] = {}
    for table in tables:
        at = list(table.columns).index("status")
        settings |= dict.fromkeys(table.columns[:at])
        measures |= dict.fromkeys(table.columns[at:])
    measures = {key: None for key in measures if key not in settings}
    known = [table.dropna(axis=1, how="all") for table in tables]
    return pd.concat(known, ignore_index=True).reindex(columns=[*settings, *measures])


def _short_names(table: pd.DataFrame) -> dict[str, str]:
    """Return a short name for each setting that differs between runs; none if all runs failed."""
    ran = table[table["status"] != "failed"]
    keys = varying_columns(ran if len(ran) else table)
    tails = [key.rpartition(".")[2] for key in keys]
    return {
        key: tail if tails.count(tail) == 1 else key for key, tail in zip(keys, tails, strict=True)
    }


def _label(row: Mapping[Any, Any], names: dict[str, str]) -> str:
    parts = [
        _value(key, row[key]) if key in ("codec", "folder") else f"{name}={row[key]}"
        for key, name in names.items()
        if not pd.isna(row[key])
    ]
    return ", ".join(parts) or Path(row["output_dir"]).name


def _value(key: str, value: object) -> str:
    return Path(str(value)).name if key == "folder" else str(value)


def _table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    if not path.exists():
        return pd.DataFrame(columns=list(columns))
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:  # pandas raises ValueErrors
        raise OutputError(f"{path} cannot be read: {_line(error)}") from error
    lacking = [name for name in columns if name not in table]
    if lacking:
        raise OutputError(f"{path} cannot be read: it has no column {', '.join(lacking)}")
    for name in table.columns.difference(["codec", "kind", "direction"]):
        if not pd.api.types.is_numeric_dtype(table[name]):
            raise OutputError(f"{path} cannot be read: {name} holds something else than numbers")
    return table


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
