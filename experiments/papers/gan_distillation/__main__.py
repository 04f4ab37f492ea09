"""Paper 004: students of a large generator against ordinary GANs of the same size.

::

    python -m experiments.papers.gan_distillation                 # all that is committed here
    python -m experiments.papers.gan_distillation --short         # seconds; results in runs/
    python -m experiments.papers.gan_distillation --report        # only tables and pictures
    python -m experiments.papers.gan_distillation --full --device cuda    # the paper's sizes

A finished training is never repeated; the same command continues after an interruption.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.papers.gan_distillation.cases import Case, all_cases
from experiments.papers.gan_distillation.images import load_images
from experiments.papers.gan_distillation.pictures import figures
from experiments.papers.gan_distillation.results import facts, page, tables
from experiments.papers.gan_distillation.setting import PRESETS
from experiments.study.command import Study
from experiments.study.options import add_device, check_device, whole_numbers, words


def cases(options: argparse.Namespace) -> list[Case]:
    """Return the trainings, after a check of all settings and of the data."""
    check_device(options.device)
    preset, depths = PRESETS[options.preset], whole_numbers("--depths", words(options.depths))
    given: dict[str, Any] = {
        "depths": depths or None,
        "longer_depths": tuple(d for d in preset.longer_depths if d in depths) if depths else None,
        "iterations": options.iterations,
        "teacher_iterations": options.teacher_iterations,
        "num_samples": options.samples,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    hyperparameters = replace(preset, **changes)
    if not options.report:
        load_images(hyperparameters)
    return all_cases(options.seeds, hyperparameters, options.device)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the sizes of networks and trainings."""
    parser.add_argument("--depths", metavar="D,D", help="of students and regular GANs")
    parser.add_argument("--iterations", type=int, metavar="N", help="generator updates of these")
    parser.add_argument("--teacher-iterations", type=int, metavar="N")
    parser.add_argument("--samples", type=int, metavar="N", help="training images")
    add_device(parser)


STUDY = Study(
    module="experiments.papers.gan_distillation",
    about="Paper 004: distillation of W-DCGAN generators on MNIST.",
    home=Path(__file__).parent,
    cases=cases,
    tables=tables,
    page=page,
    figures=figures,
    facts=facts,
    seeds=(0, 1, 2, 3, 4),
    digits=8,  # sizes of networks have seven
    full="teacher d = 256, students d = 2 to 128, all images; for a GPU",
    add_options=add_options,
    libraries=("torch", "numpy", "scipy", "scikit-learn", "pandas"),
    shown=("inception_score", "frechet_distance"),
)
main = STUDY.main

if __name__ == "__main__":
    sys.exit(main())
