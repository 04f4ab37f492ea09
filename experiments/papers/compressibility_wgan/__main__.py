"""Paper 000 on one client: prune, code, score, compare; the tables and figures of the paper.

::

    python -m experiments.papers.compressibility_wgan --data pendigits --seeds 0
    python -m experiments.papers.compressibility_wgan --report

Without arguments it does all that is committed beside this file: three data sets, five seeds. What
is finished is never done again; the same command goes on where it was stopped.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.papers.compressibility_wgan.cell import Cell
from experiments.papers.compressibility_wgan.results import write_results
from experiments.papers.compressibility_wgan.study import run_cells
from experiments.study_command import called, run_study, words
from flwr_gan.errors import ConfigError

DATA = ("pendigits", "uji", "strokes")
FOLDER = Path("runs/compressibility_wgan")
RESULTS = Path(__file__).parent / "results"
_PROGRAM = "python -m experiments.papers.compressibility_wgan"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not finished and write the results; return the exit status."""
    options = _parser().parse_args(arguments)
    command = called(_PROGRAM, arguments)
    return run_study(
        "compressibility_wgan",
        options,
        _cells,
        run=lambda cells: run_cells(cells, workers=options.workers),
        write=lambda cells: write_results(cells, options.results, command=command),
        failures="parts failed",
    )


def _cells(options: argparse.Namespace) -> list[Cell]:
    """Return the parts of the study, after checking the settings of each."""
    overrides = tuple(options.overrides)
    if not any(text.startswith("experiment=") for text in overrides):
        overrides = ("experiment=paper_scaled", *overrides)
    for text in overrides:
        key = text.split("=")[0]
        if key in ("data", "seed", "lottery.scope", "output_dir", "resume"):
            raise ConfigError(
                f"{text}: this study sets {key} itself; see --data, --seeds, --scopes"
            )
    cells = [
        Cell(
            data=data,
            scope=scope,
            seed=seed,
            root=options.folder,
            overrides=overrides,
            client=options.client,
            controls=options.controls,
        )
        for scope in options.scopes
        for seed in (options.seeds if scope == "global" else options.seeds[: options.local_seeds])
        for data in options.data
    ]
    for cell in cells:
        if cell.seed == cells[0].seed and cell.scope == cells[0].scope:
            cell.federation.samples_of(cell.client)  # data and split are there
    return cells


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        description="Paper 000 on one client: prune, code, score, compare.",
    )
    parser.add_argument("--data", type=words, default=DATA, metavar="NAME,NAME")
    parser.add_argument("--seeds", type=_numbers, default=range(5), metavar="N,N")
    parser.add_argument("--scopes", type=words, default=("global", "local"), metavar="SCOPE,SCOPE")
    parser.add_argument(
        "--local-seeds", type=int, default=1, metavar="N", help="seeds of local pruning"
    )
    parser.add_argument("--client", type=int, default=0, help="whose samples are trained on")
    parser.add_argument(
        "--controls",
        type=_numbers,
        default=(5, 10, 15, 17),
        metavar="P,P",
        help="levels at which controls are trained and lossy codecs scored",
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of generators and rows")
    parser.add_argument("--results", type=Path, default=RESULTS, help="of tables and figures")
    parser.add_argument("--report", action="store_true", help="train nothing, write the results")
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="settings of conf/; experiment=paper"
    )
    return parser


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, words(text)))


if __name__ == "__main__":
    sys.exit(main())
