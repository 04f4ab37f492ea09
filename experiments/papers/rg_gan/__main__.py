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

import torch

from experiments.papers.rg_gan.results import RESULTS, write_results
from experiments.papers.rg_gan.setting import FAMILIES, METHODS, Case, grid
from experiments.papers.rg_gan.study import run_cases
from flwr_gan.errors import ConfigError, FlwrGanError

FOLDER = Path("runs/rg_gan")
_PROGRAM = "python -m experiments.papers.rg_gan"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not finished and write the results; return the exit status."""
    options = _parser().parse_args(arguments)
    command = " ".join([_PROGRAM, *(sys.argv[1:] if arguments is None else arguments)])
    other = options.preset != "default"
    folder = options.folder or (FOLDER.with_name(f"{FOLDER.name}_{options.preset}") if other
                                else FOLDER)  # fmt: skip
    results = options.results or (folder / "results" if other else RESULTS)
    failed = 0
    try:
        cases = _cases(options)
        if not options.report:
            failed = run_cases(cases, folder, device=options.device)
        for path in write_results(cases, folder, results, command=command):
            print(path)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    except FlwrGanError as error:
        print(f"rg_gan: {error}", file=sys.stderr)
        return error.exit_status
    if failed:
        print(f"{failed} of {len(cases)} runs failed; see above", file=sys.stderr)
    return 1 if failed else 0


def _cases(options: argparse.Namespace) -> list[Case]:
    """Return the runs, after a check of all settings."""
    _check_device(options.device)
    for method in options.methods:
        if method not in METHODS:
            raise ConfigError(f"--methods {method}: allowed are {', '.join(METHODS)}")
    for word in options.seeds or ():
        if not word.isdecimal():
            raise ConfigError(f"--seeds {word} is not allowed: give whole numbers from 0")
    seeds = options.seeds or (("0",) if options.preset == "short" else ("0", "1", "2"))
    cases = grid(families=options.families, seeds=tuple(map(int, seeds)), preset=options.preset)
    return [case for case in cases if case.method in options.methods]


def _check_device(name: str) -> None:
    """Raise a ConfigError when PyTorch cannot compute there."""
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"--device {name} is not usable: {reason}; give cpu") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM, description="Paper 003: pruning and regeneration while a GAN is trained."
    )
    preset = parser.add_mutually_exclusive_group()
    preset.add_argument(
        "--short", dest="preset", action="store_const", const="short", help="seconds; to try it"
    )
    preset.add_argument(
        "--full", dest="preset", action="store_const", const="full",
        help="eight times the channels, 100,000 updates, lambda = 5e-12, all samples; for a GPU",
    )  # fmt: skip
    parser.set_defaults(preset="default")
    parser.add_argument("--seeds", type=_words, metavar="N,N")
    parser.add_argument(
        "--families", type=_words, default=tuple(FAMILIES), metavar="NAME,NAME",
        help=", ".join(FAMILIES),
    )  # fmt: skip
    parser.add_argument(
        "--methods", type=_words, default=tuple(METHODS), metavar="NAME,NAME",
        help=", ".join(METHODS),
    )  # fmt: skip
    parser.add_argument("--device", default="cpu", help="where to train; default: cpu")
    parser.add_argument("--folder", type=Path, help=f"of the runs; default: {FOLDER}")
    parser.add_argument("--results", type=Path, help="of tables and pictures")
    parser.add_argument("--report", action="store_true", help="train nothing, write the results")
    return parser


def _words(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(",")))


if __name__ == "__main__":
    sys.exit(main())
