"""Common parts of the commands that measure real nodes."""

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.benchmarks.output import write_measured
from experiments.study.options import called, run_command
from flwr_gan.errors import TrainingError

RESULTS = Path(__file__).with_name("results")
STOPPED = "all processes are stopped"


def require_empty(folder: Path, option: str) -> None:
    """Raise ``TrainingError`` if a folder is not empty."""
    if folder.exists() and any(folder.iterdir()):
        raise TrainingError(f"{option} {folder} is not empty: choose another folder")


def measuring_command(
    name: str,
    about: str | None,
    measure: Callable[[argparse.Namespace], Iterable[tuple[str, pd.DataFrame]]],
    arguments: Sequence[str] | None = None,
    *,
    own: Mapping[str, Mapping[str, Any]] = {},
) -> int:
    """Measure, write and print tables, which ``measure`` yields by name; return the exit status.

    The runs lie below ``options.work``, an absolute path. ``own`` are the command's own options,
    with their settings in argparse.
    """
    module = f"experiments.deployment.{name}"
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=about)
    work = Path(f"runs/{name}")
    parser.add_argument("--work", type=Path, default=work, help="an empty folder for the runs")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the tables")
    for option, settings in own.items():
        parser.add_argument(option, **settings)
    options = parser.parse_args(arguments)
    options.work = options.work.absolute()
    command = called(f"python -m {module}", arguments)

    def write() -> int:
        require_empty(options.work, "--work")
        for table_name, table in measure(options):
            write_measured(table, options.output / f"{table_name}.csv", command=command)
            print(table.to_string(index=False), end="\n\n")
        return 0

    return run_command(module, write, interrupted=STOPPED)
