"""Trains and scores the cases one after another; what is finished is kept."""

import json
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
from experiments.study_loop import run_each
from flwr_gan.core.atomic import write_text
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
    examiner = Examiner(images, folder)

    def run(case: Case) -> str:
        return _run(case, images, examiner, folder, device)

    with torch_threads(1), tqdm(total=len(left), unit="training", disable=None) as bar:
        failed = run_each(left, run, lambda case: case.work, bar)
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
