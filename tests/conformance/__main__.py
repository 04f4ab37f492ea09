"""Run every cell of the matrix and write the tables.

``python -m tests.conformance [--output docs/conformance.md] [--only TEXT]`` takes some
minutes. Its exit status is 1 when a cell is not like plain Flower.
"""

import argparse
import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from flwr_gan.core.atomic import write_text
from tests.conformance.cells import Cell, cells
from tests.conformance.page import page

OUTPUT = Path(__file__).parents[2] / "docs" / "conformance.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the page to write")
    parser.add_argument("--only", default="", help="run only the cells whose names contain this")
    options = parser.parse_args(arguments)
    wanted = list(cells(options.only))
    if not wanted:
        parser.error(f"--only {options.only}: no cell has this in its name; try one of its words")
    for name in ("flwr", "flwr_gan"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")
    results, faults = {}, []
    for cell in tqdm(wanted, unit="cell"):
        results[str(cell)], found = _result(cell)
        faults += [f"{cell}: {fault}" for fault in found]
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_text(options.output, page(results))
    print("\n".join(faults), file=sys.stderr, end="\n" if faults else "")
    failed = sum("**fails**" in text for text in results.values())
    print(f"{len(wanted) - failed} of {len(wanted)} cells are like plain Flower: {options.output}")
    return 1 if failed else 0


def _result(cell: Cell) -> tuple[str, tuple[str, ...]]:
    if cell.missing:
        return f"needs {cell.missing}", ()
    verdict = cell.verdict()
    return verdict.cell, verdict.faults


if __name__ == "__main__":
    sys.exit(main())
