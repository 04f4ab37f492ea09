"""The study as a command: ``python -m experiments.papers.compressibility_wgan.federated``.

Started again, it goes on where it stopped: finished cells are not repeated, failed ones are tried
again. Results are written after each cell, pictures and the page's tables at the end.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.papers.compressibility_wgan.federated.page import PAGE, write_page
from experiments.papers.compressibility_wgan.federated.pictures import write_pictures
from experiments.papers.compressibility_wgan.federated.plan import FULL, SHORT
from experiments.papers.compressibility_wgan.federated.results import write_run, write_tables
from experiments.papers.compressibility_wgan.federated.study import read_records, run_cells
from flwr_gan.errors import FlwrGanError

COMMAND = "python -m experiments.papers.compressibility_wgan.federated"
RESULTS = Path(__file__).parents[1] / "results" / "federated"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns
    -------
    int
        0 when all cells are finished, 1 when some failed, 130 when it was interrupted.
    """
    options = _parser().parse_args(arguments)
    logging.getLogger("flwr").setLevel(logging.ERROR)
    results = options.results or (options.folder / "results" if options.short else RESULTS)
    plan = SHORT if options.short else FULL
    records: list[dict[str, Any]] = []
    try:
        if options.no_runs:
            records += read_records(plan, options.folder).values()
            write_tables(records, results)
        else:
            for record in run_cells(plan, options.folder):
                records.append(record)
                write_tables(records, results)
        command = COMMAND + (" --short" if options.short else "")
        write_run(records, results, command=command, planned=len(plan.cells()))
        write_pictures(results)
        committed = results.resolve() == RESULTS.resolve()
        write_page(results, PAGE if committed else results / PAGE.name)
    except FlwrGanError as error:
        print(f"federated: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    failed = [record for record in records if record["status"] == "failed"]
    finished, asked = len(records) - len(failed), len(plan.cells())
    print(f"{finished} of {asked} cells finished; results: {results}")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=COMMAND, description="Does sending pruned generators serve federated learning?"
    )
    parser.add_argument("--short", action="store_true", help="a tiny version, on embedded digits")
    parser.add_argument(
        "--no-runs", action="store_true", help="write the results of the cells that have ended"
    )
    parser.add_argument("--folder", type=Path, default=Path("runs/federated_study"))
    parser.add_argument("--results", type=Path, help="default: the committed results")
    return parser


if __name__ == "__main__":
    sys.exit(main())
