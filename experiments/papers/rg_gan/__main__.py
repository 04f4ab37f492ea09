"""Paper 003: RG-GAN against the dense GAN, Re-GAN and lottery tickets, with all its ablations.

::

    python -m experiments.papers.rg_gan             # all that is committed here
    python -m experiments.papers.rg_gan --short     # seconds; results in runs/
    python -m experiments.papers.rg_gan --report    # tables and pictures alone
    python -m experiments.papers.rg_gan --families strokes --methods dense,rg --seeds 3,4
    python -m experiments.papers.rg_gan --full --device cuda    # the paper's lengths and lambda

A finished run is never done again; the same command goes on where it was stopped.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.papers.rg_gan.results import RESULTS, write_results
from experiments.papers.rg_gan.setting import FAMILIES, METHODS, Case, grid
from experiments.papers.rg_gan.study import run_cases
from experiments.study_command import (
    add_places,
    add_presets,
    called,
    check_device,
    places,
    run_study,
    whole_numbers,
    words,
)
from flwr_gan.errors import ConfigError

FOLDER = Path("runs/rg_gan")
_PROGRAM = "python -m experiments.papers.rg_gan"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not finished and write the results; return the exit status."""
    options = _parser().parse_args(arguments)
    folder, results = places(options, FOLDER, RESULTS)
    command = called(_PROGRAM, arguments)
    return run_study(
        "rg_gan",
        options,
        _cases,
        run=lambda cases: run_cases(cases, folder, device=options.device),
        write=lambda cases: write_results(cases, folder, results, command=command),
    )


def _cases(options: argparse.Namespace) -> list[Case]:
    """Return the runs, after a check of all settings."""
    check_device(options.device)
    for method in options.methods:
        if method not in METHODS:
            raise ConfigError(f"--methods {method}: allowed are {', '.join(METHODS)}")
    given = options.seeds or (("0",) if options.preset == "short" else ("0", "1", "2"))
    seeds = whole_numbers("--seeds", given)
    cases = grid(families=options.families, seeds=seeds, preset=options.preset)
    return [case for case in cases if case.method in options.methods]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM, description="Paper 003: pruning and regeneration while a GAN is trained."
    )
    add_presets(
        parser,
        full="eight times the channels, 100,000 updates, lambda = 5e-12, all samples; for a GPU",
    )
    parser.add_argument("--seeds", type=words, metavar="N,N")
    parser.add_argument(
        "--families", type=words, default=tuple(FAMILIES), metavar="NAME,NAME",
        help=", ".join(FAMILIES),
    )  # fmt: skip
    parser.add_argument(
        "--methods", type=words, default=tuple(METHODS), metavar="NAME,NAME",
        help=", ".join(METHODS),
    )  # fmt: skip
    parser.add_argument("--device", default="cpu", help="where to train; default: cpu")
    add_places(parser, FOLDER, shown="tables and pictures", verb="train")
    return parser


if __name__ == "__main__":
    sys.exit(main())
