"""Runs the cases one after another; a finished one is kept, a failed one does not end the rest."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import torch
from tqdm import tqdm

from experiments.papers.fl_compression_comparison.federation import run_case
from experiments.papers.fl_compression_comparison.network import STUDENT_SIZES, TEACHER_SIZES
from experiments.papers.fl_compression_comparison.printed import compare_codecs, compare_formulas
from experiments.papers.fl_compression_comparison.setting import Case
from experiments.papers.fl_compression_comparison.task import Task, make_task
from experiments.study_loop import claim_file, run_each
from flwr_gan.core.atomic import write_text
from flwr_gan.gan import torch_threads

SUMMARY = "summary.json"
DENSE_BYTES = 4 * sum(a * b + b for a, b in pairwise(TEACHER_SIZES))
"""SimpleNN in float32: 437,544 bytes, the model to which all ratios refer."""


def is_finished(case: Case, folder: Path) -> bool:
    """Return whether a case's results are there."""
    return (folder / case.name / SUMMARY).exists()


def run_cases(cases: Sequence[Case], folder: Path) -> int:
    """Run what is not finished; return the number of cases that failed.

    Parameters
    ----------
    cases : sequence of Case
        What to run, in this order.
    folder : Path
        Each case gets a folder of its own in it.

    Raises
    ------
    ConfigError
        When the folder holds results of other settings.
    """
    for case in cases:
        settings = asdict(case) | {"codec": case.method.codec}
        claim_file(folder / case.name / "settings.json", settings)
    left = [case for case in cases if not is_finished(case, folder)]
    if len(left) < len(cases):
        print(f"{len(cases) - len(left)} of {len(cases)} runs are finished already", flush=True)
    tasks: dict[tuple[object, ...], Task] = {}

    def on_round() -> None:
        bar.update()

    def run(case: Case) -> str:
        key = (case.partition, case.seed, case.hyperparameters)
        if key not in tasks:
            tasks.clear()  # one at a time: memory stays flat
            tasks[key] = make_task(case)
        return run_and_keep(tasks[key], case, folder, on_round)

    rounds = sum(case.hyperparameters.num_rounds for case in left)
    with (
        torch_threads(1),
        torch.no_grad(),
        tqdm(total=rounds, desc="rounds", unit="round", disable=None) as bar,
    ):
        return run_each(left, run, work, bar, steps=0)


def run_and_keep(task: Task, case: Case, folder: Path, on_round: Callable[[], None]) -> str:
    """Run one case, write its files, the summary last; return its result for people."""
    started = time.process_time()
    outcome = run_case(task, case, on_round=on_round)
    place = folder / case.name
    tables = {
        "rounds.csv": outcome.rounds,
        "messages.csv": outcome.messages,
        "codecs.csv": compare_codecs(outcome.upload, dense_bytes=DENSE_BYTES),
    }
    if case.method.name == "none":
        amount = case.hyperparameters.prune_amount
        tables["formulas.csv"] = compare_formulas(outcome.network, task, amount=amount)
    for name, table in tables.items():
        write_text(place / name, table.to_csv(index=False, float_format="%.7g"))
    summary = outcome.summary | {"cpu_s": time.process_time() - started}
    write_text(place / SUMMARY, json.dumps(summary, indent=2) + "\n")
    test, training = summary["test_accuracy"], summary["train_accuracy"]
    return f"test {test:.4f}, training {training:.4f}, {summary['wall_s']:.0f} s"


def work(case: Case) -> float:
    """Return roughly how long a case takes, in passes of SimpleNN over all samples."""
    settings = case.hyperparameters
    share = sum(STUDENT_SIZES) / sum(TEACHER_SIZES) * 0.6 if case.method.small else 1.0
    passes = settings.num_rounds * share + settings.teacher_passes * case.method.distil
    return passes * (settings.num_models if case.partition == "whole" else 1)
