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

from experiments.papers.gan_distillation.images import load_images
from experiments.papers.gan_distillation.results import RESULTS, write_results
from experiments.papers.gan_distillation.setting import PRESETS, Case, grid
from experiments.papers.gan_distillation.study import run_cases
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

FOLDER = Path("runs/gan_distillation")
_PROGRAM = "python -m experiments.papers.gan_distillation"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not finished and write the results; return the exit status."""
    options = _parser().parse_args(arguments)
    folder, results = places(options, FOLDER, RESULTS)
    command = called(_PROGRAM, arguments)

    def run(cases: list[Case]) -> int:
        images = load_images(cases[0].hyperparameters)
        return run_cases(cases, images, folder, device=options.device)

    return run_study(
        "gan_distillation",
        options,
        _cases,
        run=run,
        write=lambda cases: write_results(cases, folder, results, command=command),
        failures="trainings failed; see above",
    )


def _cases(options: argparse.Namespace) -> list[Case]:
    """Return the trainings, after a check of all settings."""
    check_device(options.device)
    given: dict[str, Any] = {
        "depths": options.depths and whole_numbers("--depths", options.depths),
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
    return list(grid(seeds=whole_numbers("--seeds", seeds), hyperparameters=hyperparameters))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM, description="Paper 004: distillation of W-DCGAN generators on MNIST."
    )
    add_presets(parser, full="teacher d = 256, students d = 2 to 128, all images; for a GPU")
    parser.add_argument("--seeds", type=words, metavar="N,N")
    parser.add_argument("--depths", type=words, metavar="D,D", help="of students and regular GANs")
    parser.add_argument("--iterations", type=int, metavar="N", help="generator updates of these")
    parser.add_argument("--teacher-iterations", type=int, metavar="N")
    parser.add_argument("--samples", type=int, metavar="N", help="training images")
    parser.add_argument("--device", default="cpu", help="where to train; default: cpu")
    add_places(parser, FOLDER, of="trainings", shown="tables and pictures", verb="train")
    return parser


if __name__ == "__main__":
    sys.exit(main())
