"""Where the table of a benchmark goes, and what it was measured on."""

import argparse
import json
from pathlib import Path

import pandas as pd

from experiments.study_files import machine, today, versions
from flwr_gan.core.atomic import write_text

RESULTS = Path(__file__).parent / "results"


def add_output(parser: argparse.ArgumentParser, name: str, *, short: str) -> None:
    """Add ``--short``, of which ``short`` says what it leaves out, and ``--output FILE``."""
    parser.add_argument("--short", action="store_true", help=short)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help=f"table; default: {name}.csv in experiments/benchmarks/results, "
        f"in runs/{name}_short with --short",
    )


def output_file(options: argparse.Namespace, name: str) -> Path:
    """Return the path of the table: what was asked for, or that of the short or whole version."""
    folder = Path(f"runs/{name}_short") if options.short else RESULTS
    chosen: Path | None = options.output
    return chosen or folder / f"{name}.csv"


def write_measured(table: pd.DataFrame, path: Path, *, command: str) -> None:
    """Write a table as CSV, and beside it command, date, machine and versions as JSON."""
    write_text(path, table.to_csv(index=False, float_format="%.5g"))
    told = {
        "command": command,
        "date": today(),
        "machine": machine(),
        "versions": versions(("torch", "numpy", "flwr")),
    }
    write_text(path.with_suffix(".json"), json.dumps(told, indent=2) + "\n")
