"""Tickets by RG-GAN against tickets by iterative pruning, at equal bytes and equal compute.

::

    python -m experiments.federated_regeneration                # three seeds, minutes each
    python -m experiments.federated_regeneration --seeds 3,4
    python -m experiments.federated_regeneration --report       # the table alone
    python -m experiments.federated_regeneration partition=iid data=pendigits

What stands behind the options are settings of both ways. A finished run is never done again; the
same command goes on where it was stopped.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from experiments.federated_regeneration.study import comparison, run_pair
from experiments.markdown import markdown_table
from experiments.study_command import run_command
from flwr_gan.atomic import write_text
from flwr_gan.errors import ConfigError

FOLDER = Path("runs/federated_regeneration")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not finished, write and print the table; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.federated_regeneration",
        description="Tickets by RG-GAN against tickets by iterative pruning.",
    )
    parser.add_argument("--seeds", default="0,1,2", metavar="N,N", help="default: %(default)s")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="default: %(default)s")
    parser.add_argument("--report", action="store_true", help="train nothing")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    options = parser.parse_args(arguments)
    return run_command("federated_regeneration", lambda: _compare(options))


def _compare(options: argparse.Namespace) -> int:
    seeds, path = _seeds(options.seeds), options.folder / "results.csv"
    for seed in () if options.report else seeds:
        run_pair(seed, options.folder, options.overrides)
    table = comparison(seeds, options.folder)
    write_text(path, table.to_csv(index=False))
    print(f"{_shown(table) if len(table) else 'no run is finished'}\n{path}")
    return 0


def _seeds(text: str) -> list[int]:
    words = text.split(",")
    if not all(word.isascii() and word.isdecimal() for word in words):
        raise ConfigError(f"--seeds {text} is not allowed: give whole numbers from 0")
    return [int(word) for word in words]


def _shown(table: pd.DataFrame) -> str:
    rows = [
        [f"{value:.3f}" if isinstance(value, float) else str(value) for value in row]
        for row in table.itertuples(index=False)
    ]
    return markdown_table([str(column) for column in table.columns], rows)


if __name__ == "__main__":
    sys.exit(main())
