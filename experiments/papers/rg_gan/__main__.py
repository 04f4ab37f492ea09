"""Paper 003: RG-GAN against the dense GAN, Re-GAN and lottery tickets, with all its ablations.

::

    python -m experiments.papers.rg_gan             # all that is committed here
    python -m experiments.papers.rg_gan --short     # seconds; results in runs/
    python -m experiments.papers.rg_gan --report    # only tables and pictures
    python -m experiments.papers.rg_gan --families strokes --methods dense,rg --seeds 3,4
    python -m experiments.papers.rg_gan --full --device cuda    # the paper's lengths and lambda

A finished run is never repeated; the same command continues after an interruption.
"""

import argparse
import sys
from pathlib import Path

from experiments.papers.rg_gan.cases import Case
from experiments.papers.rg_gan.pictures import figures
from experiments.papers.rg_gan.results import facts, page, tables
from experiments.papers.rg_gan.setting import FAMILIES, METHODS, family_settings, runs
from experiments.study.command import Study
from experiments.study.options import add_device, check_device


def cases(options: argparse.Namespace) -> list[Case]:
    """Return the runs, seed after seed."""
    check_device(options.device)
    settings = {name: family_settings(name, options.preset) for name in options.families}
    return [
        Case(family=family, method=method, samples=samples, augmented_data=augmented, seed=seed,
             family_settings=settings[family], device=options.device)
        for seed in options.seeds
        for family in options.families
        for method, samples, augmented in runs(family, settings[family].num_samples)
        if method in options.methods
    ]  # fmt: skip


STUDY = Study(
    module="experiments.papers.rg_gan",
    about="Paper 003: pruning and regeneration while a GAN is trained.",
    home=Path(__file__).parent,
    cases=cases,
    tables=tables,
    page=page,
    figures=figures,
    facts=facts,
    choices={"families": tuple(FAMILIES), "methods": tuple(METHODS)},
    add_options=add_device,
    full="eight times the channels, 100,000 updates, lambda = 5e-12, all samples; for a GPU",
    digits=6,
    libraries=("torch", "numpy", "scipy", "scikit-learn", "pandas"),
)
main = STUDY.main

if __name__ == "__main__":
    sys.exit(main())
