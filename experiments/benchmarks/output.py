"""Where the table of a benchmark goes."""

import argparse
from pathlib import Path

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
