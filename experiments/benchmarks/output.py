"""Common parts of the benchmark commands."""

import argparse
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd

from experiments.study.options import called
from experiments.study.results import machine, today, versions, write_json, write_table
from flwr_gan.errors import FlwrGanError, OutputError, TrainingError

RESULTS = Path(__file__).parent / "results"


def output_file(options: argparse.Namespace, name: str) -> Path:
    """Return the path of the table: the given one, or the default of the short or whole version."""
    folder = Path(f"runs/{name}_short") if options.short else RESULTS
    chosen: Path | None = options.output
    return chosen or folder / f"{name}.csv"


def write_measured(table: pd.DataFrame, path: Path, *, command: str) -> None:
    """Write a table as CSV, and command, date, machine and versions as JSON beside it."""
    write_table(table, path)
    about = {
        "command": command,
        "date": today(),
        "machine": machine(),
        "versions": versions(("torch", "numpy", "flwr")),
    }
    write_json(about, path.with_suffix(".json"))


def run_benchmark(
    name: str,
    about: str | None,
    measure: Callable[[argparse.Namespace], Iterable[tuple[str, pd.DataFrame]]],
    arguments: Sequence[str] | None = None,
    *,
    short: str,
    own: Mapping[str, Mapping[str, Any]] = {},
) -> int:
    """Measure, write and print the tables of a benchmark; return the exit status.

    ``about`` is the module's docstring, whose first line is shown; ``measure`` yields tables with
    the suffix of their name, empty for the first; ``short`` says what ``--short`` leaves out;
    ``own`` are the benchmark's own options, with their settings in argparse.
    """
    module = f"experiments.benchmarks.{name}"
    description = (about or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--short", action="store_true", help=short)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help=f"table; default: {name}.csv in experiments/benchmarks/results, "
        f"in runs/{name}_short with --short",
    )
    for option, settings in own.items():
        parser.add_argument(option, **settings)
    options = parser.parse_args(arguments)
    logging.getLogger("flwr").setLevel(logging.ERROR)
    file, command = output_file(options, name), called(f"python -m {module}", arguments)
    try:
        if file.is_dir():
            raise OutputError(f"--output {file} is a folder: give a file, as {file / name}.csv")
        for ending, table in measure(options):
            write_measured(table, file.with_stem(f"{file.stem}{ending}"), command=command)
            print(table.to_string(index=False, float_format="{:.4g}".format), end="\n\n")
    except FlwrGanError as error:
        print(f"{module}: {error}", file=sys.stderr)
        return error.exit_status
    return 0


def row_of_process(
    what: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the row that a separate Python process prints as JSON in its last line."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise TrainingError(f"{what} ended with {done.returncode}; see above")
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def medians_of(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> pd.DataFrame:
    """Return the medians of all numbers over rows with equal keys, and the number of rows."""
    groups = pd.DataFrame(rows).groupby(list(keys), sort=False)
    medians = groups.median(numeric_only=True).reset_index()
    medians["repeats"] = groups.size().to_numpy()
    return medians


def processor_s(job: Callable[[], object]) -> float:
    """Return the processor seconds of one call."""
    started = time.process_time()
    job()
    return time.process_time() - started


def in_turn(
    ways: Mapping[str, Callable[[], float]], repeats: int, *, warm_up: bool = True
) -> dict[str, list[float]]:
    """Return the seconds of each way; ways take turns, so that other load slows them equally.

    Each way does its work once and returns its seconds; with ``warm_up`` the first turn is not
    counted.
    """
    turns = [{name: way() for name, way in ways.items()} for _ in range(repeats + warm_up)]
    return {name: [turn[name] for turn in turns[warm_up:]] for name in ways}


def ratios(measured: Mapping[str, Sequence[float]], to: str, name: str) -> dict[str, float]:
    """Return the median and the range of the seconds of ``to`` divided by those of ``name``."""
    found = [a / b for a, b in zip(measured[to], measured[name], strict=True)]
    return {"ratio": median(found), "ratio_lowest": min(found), "ratio_highest": max(found)}
