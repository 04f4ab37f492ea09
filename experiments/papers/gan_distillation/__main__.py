"""Paper 004: students of a large generator against GANs of their size trained the ordinary way.

::

    python -m experiments.papers.gan_distillation                 # all that is committed here
    python -m experiments.papers.gan_distillation --short         # seconds; results in runs/
    python -m experiments.papers.gan_distillation --report        # tables and pictures alone
    python -m experiments.papers.gan_distillation --full --device cuda    # the paper's sizes

A finished training is never done again; the same command goes on where it was stopped.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from experiments.papers.gan_distillation.images import load_images
from experiments.papers.gan_distillation.results import RESULTS, write_results
from experiments.papers.gan_distillation.setting import PRESETS, Case, grid
from experiments.papers.gan_distillation.study import run_cases
from flwr_gan.errors import ConfigError, FlwrGanError

FOLDER = Path("runs/gan_distillation")
_PROGRAM = "python -m experiments.papers.gan_distillation"


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
            images = load_images(cases[0].hyperparameters)
            failed = run_cases(cases, images, folder, device=options.device)
        for path in write_results(cases, folder, results, command=command):
            print(path)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    except FlwrGanError as error:
        print(f"gan_distillation: {error}", file=sys.stderr)
        return error.exit_status
    if failed:
        print(f"{failed} of {len(cases)} trainings failed; see above", file=sys.stderr)
    return 1 if failed else 0


def _cases(options: argparse.Namespace) -> list[Case]:
    """Return the trainings, after a check of all settings."""
    _check_device(options.device)
    given: dict[str, Any] = {
        "depths": options.depths and _numbers("--depths", options.depths),
        "iterations": options.iterations,
        "teacher_iterations": options.teacher_iterations,
        "num_samples": options.samples,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    if options.depths:
        kept = PRESETS[options.preset].longer_depths
        changes["longer_depths"] = tuple(d for d in kept if d in changes["depths"])
    hyperparameters = replace(PRESETS[options.preset], **changes)
    seeds = options.seeds or ("0",)
    return list(grid(seeds=_numbers("--seeds", seeds), hyperparameters=hyperparameters))


def _check_device(name: str) -> None:
    """Raise a ConfigError when PyTorch cannot compute there."""
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"--device {name} is not usable: {reason}; give cpu") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM, description="Paper 004: distillation of W-DCGAN generators on MNIST."
    )
    preset = parser.add_mutually_exclusive_group()
    preset.add_argument(
        "--short", dest="preset", action="store_const", const="short", help="seconds; to try it"
    )
    preset.add_argument(
        "--full", dest="preset", action="store_const", const="full",
        help="teacher d = 256, students d = 2 to 128, all images; for a GPU",
    )  # fmt: skip
    parser.set_defaults(preset="default")
    parser.add_argument("--seeds", type=_words, metavar="N,N")
    parser.add_argument("--depths", type=_words, metavar="D,D", help="of students and regular GANs")
    parser.add_argument("--iterations", type=int, metavar="N", help="generator updates of these")
    parser.add_argument("--teacher-iterations", type=int, metavar="N")
    parser.add_argument("--samples", type=int, metavar="N", help="training images")
    parser.add_argument("--device", default="cpu", help="where to train; default: cpu")
    parser.add_argument("--folder", type=Path, help=f"of the trainings; default: {FOLDER}")
    parser.add_argument("--results", type=Path, help="of tables and pictures")
    parser.add_argument("--report", action="store_true", help="train nothing, write the results")
    return parser


def _words(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(",")))


def _numbers(option: str, words: Sequence[str]) -> tuple[int, ...]:
    for word in words:
        if not word.isdecimal():
            raise ConfigError(f"{option} {word} is not allowed: give whole numbers from 0")
    return tuple(map(int, words))


if __name__ == "__main__":
    sys.exit(main())
