"""The report command: a table, a figure and a page from folders of runs."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from experiments.report.folders import read_folders
from experiments.report.page import page_html
from experiments.report.story import MOST_GRIDS, lead_of, sections_of, title_of
from experiments.results_table import RESULTS, closing_table, varying_columns, write_results
from flwr_gan.core.atomic import write_text
from flwr_gan.errors import FlwrGanError, OutputError
from flwr_gan.plots import save_figure
from flwr_gan.plots.sweep import has_quality, quality_figure

FIGURE = "quality_bytes.png"
PAGE = "report.html"


def report(*folders: Path, output: Path | None = None, grids: int = MOST_GRIDS) -> pd.DataFrame:
    """Read all runs in folders, then write page, tables and figures; print and return the table."""
    named = tuple({folder.resolve(): folder for folder in folders}.values())
    page = output or _default_page(named)
    if page.is_dir():
        raise OutputError(f"cannot write {page}: it is a folder; name a file")
    results = read_folders(named)
    sections = sections_of(results, grids=grids)
    html = page_html(title_of(results), sections, lead=lead_of(results))
    print(f"\n{closing_table(results.table)}\n")
    for row in results.table[results.table["status"] == "failed"].to_dict("records"):
        print(f"failed: {Path(row['output_dir']).name}: {row['reason']}")
    for folder in named:
        table = write_results(folder)
        if has_quality(table):
            save_figure(quality_figure(table, varying_columns(table)), folder / FIGURE, dpi=200)
            print(f"figure: {folder / FIGURE}")
        print(f"table:  {folder / RESULTS}")
    write_text(page, html)
    print(f"page:   {page}")
    return results.table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        report(*options.folders, output=options.output, grids=options.grids)
    except FlwrGanError as error:
        print(f"experiments.report: {error}", file=sys.stderr)
        return error.exit_status
    return 0


def _default_page(folders: tuple[Path, ...]) -> Path:
    if len(folders) == 1:
        return folders[0] / PAGE
    try:
        return Path(os.path.commonpath([folder.resolve().parent for folder in folders])) / PAGE
    except ValueError as error:  # the paths are on several drives
        raise OutputError(
            "the folders have no parent in common: name the page, --output"
        ) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.report",
        description="Write results.csv and quality_bytes.png into each folder, and one HTML page "
        "on the runs of all of them. Nothing is trained: result files alone are read.",
    )
    parser.add_argument(
        "folders",
        type=Path,
        nargs="+",
        metavar="RUN_OR_SWEEP",
        help="folder of a run, of a sweep, or one that holds runs",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help=f"the page (default: {PAGE} in the folder; of several folders, in the nearest one "
        "that holds them all)",
    )
    parser.add_argument(
        "--grids",
        type=_count,
        default=MOST_GRIDS,
        metavar="N",
        help="most pictures of samples on the page (default: %(default)s)",
    )
    return parser


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is no whole number from 0 up")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
