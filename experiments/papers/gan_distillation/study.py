"""Trains and scores the cases one after another; what is finished is kept."""

import json
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from experiments.papers.gan_distillation.images import Images
from experiments.papers.gan_distillation.scoring import Examiner
from experiments.papers.gan_distillation.setting import Case
from experiments.papers.gan_distillation.training import (
    claim,
    is_trained,
    train_gan,
    train_student,
)
from flwr_gan.atomic import write_text
from flwr_gan.errors import FlwrGanError
from flwr_gan.gan import torch_threads

SCORES = "scores.json"
REAL = "real.json"


def is_finished(case: Case, folder: Path) -> bool:
    """Return whether a case is trained and scored."""
    return (folder / case.name / SCORES).exists()


def run_cases(cases: Sequence[Case], images: Images, folder: Path, *, device: str) -> int:
    """Train and score what is not finished; return the number of cases that failed.

    Parameters
    ----------
    cases : sequence of Case
        What to run, in this order; the teacher comes before its students.
    images : Images
        Real ones.
    folder : Path
        Each case gets a folder of its own in it.
    device : str
        Where to train; scores are computed on the processor.

    Raises
    ------
    ConfigError
        When the folder holds results of other settings.
    """
    for case in cases:
        claim(case, folder)
    left = [case for case in cases if not is_finished(case, folder)]
    if len(left) < len(cases):
        print(f"{len(cases) - len(left)} of {len(cases)} trainings are finished", flush=True)
    failed = 0
    examiner = Examiner(images, folder)
    started, done, total = time.monotonic(), 0.0, sum(case.work for case in left)
    with torch_threads(1), tqdm(total=len(left), unit="training", disable=None) as bar:
        for number, case in enumerate(left, start=1):
            try:
                told = _run(case, images, examiner, folder, device)
            except Exception as error:  # one training must not take the others with it
                failed += 1
                told = f"failed: {error if isinstance(error, FlwrGanError) else _where(error)}"
            done += case.work
            minutes = (time.monotonic() - started) / done * (total - done) / 60
            bar.write(f"{number}/{len(left)} {case.name}: {told}; about {minutes:.0f} min left")
            bar.update()
        if failed < len(left) and not (folder / REAL).exists():
            write_text(folder / REAL, json.dumps(examiner.real, indent=2) + "\n")
    return failed


def _run(case: Case, images: Images, examiner: Examiner, folder: Path, device: str) -> str:
    """Train and score one case; return its result for people."""
    if not is_trained(case, folder):
        if case.is_student:
            train_student(case, folder, device=device)
        else:
            train_gan(case, images.train.x_NTC, folder, device=device)
    scores = examiner.score(case)
    write_text(folder / case.name / SCORES, json.dumps(scores, indent=2) + "\n")
    score, distance = scores["inception_score"], scores["frechet_distance"]
    return f"inception-type score {score:.2f}, Frechet distance {distance:.1f}"


def _where(error: Exception) -> str:
    """Return the kind of an unexpected error, what it says and the line that raised it."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(last.filename).name}, line {last.lineno})"
