"""Paper 000 on one client: prune, code, score, compare; the tables and figures of the paper.

::

    python -m experiments.papers.compressibility_wgan --data pendigits --seeds 0
    python -m experiments.papers.compressibility_wgan --report

Without arguments it runs all that is committed beside this file: three data sets, five seeds. A
finished case is never repeated; the same command continues after an interruption.
"""

import argparse
import os
import sys
from pathlib import Path

from experiments.papers.compressibility_wgan.cases import Case
from experiments.papers.compressibility_wgan.pages import page
from experiments.papers.compressibility_wgan.pictures import figures
from experiments.papers.compressibility_wgan.results import copy_generators, facts, tables
from experiments.study.command import Study
from experiments.study.options import whole_numbers, words
from flwr_gan.errors import ConfigError

DATA = "pendigits,uji,strokes"
_OWN = ("data", "seed", "lottery.scope", "output_dir", "resume")


def cases(options: argparse.Namespace) -> list[Case]:
    """Return the parts of the study, after checking the settings of each."""
    overrides = tuple(options.overrides)
    if not any(text.startswith("experiment=") for text in overrides):
        overrides = ("experiment=paper_scaled", *overrides)
    for text in overrides:
        key = text.split("=")[0]
        if key in _OWN:
            raise ConfigError(
                f"{text}: this study sets {key} itself; see --data, --seeds, --scopes"
            )
    if "global" not in options.scopes:
        raise ConfigError("--scopes local is a control of global pruning: give global,local")
    controls = whole_numbers("--controls", words(options.controls))
    chosen = [
        Case(data=data, scope=scope, seed=seed, overrides=overrides, client=options.client,
             controls=controls)
        for scope in options.scopes
        for seed in (options.seeds if scope == "global" else options.seeds[: options.local_seeds])
        for data in words(options.data)
    ]  # fmt: skip
    for case in chosen:
        if (case.seed, case.scope) == (chosen[0].seed, chosen[0].scope):
            case.cell(Path()).federation.samples_of(case.client)  # check data and split
    return chosen


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add data, client and controls."""
    parser.add_argument("--data", default=DATA, metavar="NAME,NAME", help="default: %(default)s")
    parser.add_argument(
        "--local-seeds", type=int, default=1, metavar="N", help="seeds of local pruning"
    )
    parser.add_argument("--client", type=int, default=0, help="whose samples are trained on")
    parser.add_argument(
        "--controls", default="5,10,15,17", metavar="P,P",
        help="levels at which controls are trained",
    )  # fmt: skip


STUDY = Study(
    module="experiments.papers.compressibility_wgan",
    about="Paper 000 on one client: prune, code, score, compare.",
    home=Path(__file__).parent,
    cases=cases,
    tables=tables,
    page=page,
    figures=figures,
    facts=facts,
    more=copy_generators,
    choices={"scopes": ("global", "local")},
    seeds=range(5),
    short="",
    overrides="settings of conf/; experiment=paper",
    add_options=add_options,
    workers=os.cpu_count() or 1,
    pages=("README.md", "SIGNED_ZEROS.md"),
    libraries=("flwr", "torch", "numpy", "scikit-learn", "scipy", "pcodec", "zstandard"),
)
main = STUDY.main

if __name__ == "__main__":
    sys.exit(main())
