"""Runs the cases one after another; what is finished is kept."""

import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from experiments.benchmarks.updates.cases import Case
from experiments.benchmarks.updates.runs import run_case
from experiments.study_loop import claim_file, run_each
from flwr_gan.core.atomic import write_text

ROUNDS, SETTINGS = "quality_and_bytes.csv", "case.json"


def is_finished(case: Case, folder: Path) -> bool:
    """Return whether a case has run to its end."""
    return (folder / case.name / ROUNDS).exists()


def read_rounds(case: Case, folder: Path) -> pd.DataFrame:
    """Return the rounds of a finished case."""
    return pd.read_csv(folder / case.name / ROUNDS)


def run_cases(cases: Sequence[Case], folder: Path) -> int:
    """Run what is not finished; return the number of cases that failed.

    Raises
    ------
    ConfigError
        When the folder holds results of other settings.
    """
    for case in cases:
        claim_file(folder / case.name / SETTINGS, case.claims)
    left = [case for case in cases if not is_finished(case, folder)]
    minutes = sum(case.work_s for case in left) / 60
    print(f"{len(left)} of {len(cases)} runs to do, about {minutes:.0f} core-minutes", flush=True)

    def run(case: Case) -> str:
        began, place = time.process_time(), folder / case.name
        table = run_case(case, place / "run").assign(cpu_s=0.0)
        table["cpu_s"] = time.process_time() - began
        write_text(place / ROUNDS, table.to_csv(index=False))
        total = table["up_message_bytes"].sum() + table["down_message_bytes"].sum()
        return f"{table['quality'].iloc[-1]:.3f}, {total / 1e6:.3g} MB"

    with tqdm(total=len(left), unit="run", disable=None) as bar:
        return run_each(left, run, lambda case: case.work_s, bar)
