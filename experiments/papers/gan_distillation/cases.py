"""One training of the study, and what is measured of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.papers.gan_distillation.images import load_images
from experiments.papers.gan_distillation.scoring import examiner
from experiments.papers.gan_distillation.setting import Hyperparameters, Training
from experiments.papers.gan_distillation.training import (
    is_trained,
    relevant_settings,
    train_gan,
    train_student,
    training_seconds,
)
from experiments.study.cases import StudyCase


@dataclass(frozen=True, kw_only=True)
class Case(Training, StudyCase):
    """A training with its scores."""

    device: str = "cpu"  # where to train; scores are computed on the processor

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that the training depends on."""
        return relevant_settings(self)

    def measure(self, folder: Path) -> dict[str, Any]:
        """Train and score; the teacher has the scores of real images under ``real``."""
        images = load_images(self.hyperparameters)
        if not is_trained(folder):
            if self.is_student:
                train_student(self, folder, device=self.device)
            else:
                train_gan(self, images.train.x_NTC, folder, device=self.device)
        judge = examiner(self.hyperparameters)
        scores = judge.score(self, folder) | {"train_s": training_seconds(folder)}
        return scores | ({"real": judge.real} if self.role == "teacher" else {})


def all_cases(seeds: tuple[int, ...], hyperparameters: Hyperparameters, device: str) -> list[Case]:
    """Return every training: the teacher, then seed after seed, the small ones first."""
    places = [("teacher", hyperparameters.teacher_depth, 0)]
    roles, longer = ("regular", "mse", "joint"), ("mse_longer", "regular_longer")
    for seed in seeds:
        places += [(role, depth, seed) for depth in hyperparameters.depths for role in roles]
        if seed == seeds[0]:
            places += [
                (role, depth, seed) for depth in hyperparameters.longer_depths for role in longer
            ]
    return [
        Case(role=role, depth=depth, seed=seed, hyperparameters=hyperparameters, device=device)
        for role, depth, seed in places
    ]
