"""Table and figure of runs that are there already.

``python -m experiments.report FOLDER``: the folder of a sweep, of one run, or one that holds runs.
Reads result files alone and trains nothing; writes ``results.csv`` and ``quality_bytes.png``.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from experiments.results_table import RESULTS, closing_table, varying_columns, write_results
from flwr_gan.errors import FlwrGanError
from flwr_gan.plots import save_figure
from flwr_gan.plots.sweep import has_quality, quality_figure

FIGURE = "quality_bytes.png"


def report(folder: Path) -> pd.DataFrame:
    """Write table and figure of the runs in a folder, print the table, and return it.

    Raises
    ------
    OutputError
        When there is no run, or a file cannot be read or written.
    """
    table = write_results(folder)
    print(f"\n{closing_table(table)}\n")
    for row in table[table["status"] == "failed"].to_dict("records"):
        print(f"failed: {Path(row['output_dir']).name}: {row['reason']}")
    if has_quality(table):
        save_figure(quality_figure(table, varying_columns(table)), folder / FIGURE, dpi=200)
        print(f"figure: {folder / FIGURE}")
    print(f"table:  {folder / RESULTS}")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.report",
        description="Write results.csv and quality_bytes.png of the runs in a folder.",
    )
    parser.add_argument("folder", type=Path, help="of a sweep, of one run, or one that holds runs")
    options = parser.parse_args(arguments)
    try:
        report(options.folder)
    except FlwrGanError as error:
        print(f"experiments.report: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
