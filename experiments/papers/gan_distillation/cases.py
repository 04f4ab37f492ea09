"""One training of the study, and its measures."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from experiments.papers.gan_distillation.images import load_images
from experiments.papers.gan_distillation.scoring import examiner
from experiments.papers.gan_distillation.setting import RIVALS, Hyperparameters
from experiments.papers.gan_distillation.training import (
    is_trained,
    relevant_settings,
    train_gan,
    train_student,
    training_seconds,
)
from experiments.study.cases import StudyCase


@dataclass(frozen=True, kw_only=True)
class Case(StudyCase):
    """A training with its scores."""

    columns = ("role", "depth", "seed")
    title = "{role}_d{depth}_seed{seed}"

    role: str  # one of ``ROLES``
    depth: int  # d of the generator
    # of initial weights and all draws. A student and a regular GAN of the same depth and seed start
    # from the same generator
    seed: int
    hyperparameters: Hyperparameters = field(default_factory=Hyperparameters)  # all other settings
    device: str = "cpu"  # device of the training; scores are computed on the CPU

    @property
    def iterations(self) -> int:
        """Generator updates."""
        settings = self.hyperparameters
        if self.role == "teacher":
            return settings.teacher_iterations
        return settings.iterations * (settings.longer if self.role.endswith("_longer") else 1)

    @property
    def is_student(self) -> bool:
        """Whether it learns from the teacher."""
        return self.role in RIVALS

    @property
    def losses(self) -> dict[str, float]:
        """The terms of a student's loss, with the norms of their gradients at the start."""
        joint = {"adversarial": self.hyperparameters.adversarial}
        return {"pixel": 1.0} | ({} if self.role.startswith("mse") else joint)

    @property
    def work_s(self) -> float:
        """Roughly how long the training takes, in processor seconds."""

        def adversarial(depth: int) -> float:
            return 0.045 + 0.01 * depth + 0.00025 * depth**2

        cost = adversarial(self.depth)
        if self.is_student:
            teacher = adversarial(self.hyperparameters.teacher_depth)
            own = 1.2 if self.role == "game" else 0.2
            cost = own * cost + (0.16 if self.role == "joint" else 0.04) * teacher
        return self.iterations * cost

    @property
    def teacher(self) -> "Case":
        """The teacher, which is the same for all students and seeds."""
        depth = self.hyperparameters.teacher_depth
        return replace(self, role="teacher", depth=depth, seed=0)

    @property
    def needs(self) -> str:
        """The teacher's name, for a student."""
        return self.teacher.name if self.is_student else ""

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that the training depends on."""
        return relevant_settings(self)

    def measure(self, folder: Path) -> dict[str, Any]:
        """Train and score; the teacher's record has the scores of real images under ``real``."""
        images = load_images(self.hyperparameters)
        if not is_trained(folder):
            if self.is_student:
                train_student(self, images.train.x_NTC, folder, device=self.device)
            else:
                train_gan(self, images.train.x_NTC, folder, device=self.device)
        judge = examiner(self.hyperparameters)
        scores = judge.score(self, folder) | {"train_s": training_seconds(folder)}
        return scores | ({"real": judge.real} if self.role == "teacher" else {})


def all_cases(seeds: tuple[int, ...], hyperparameters: Hyperparameters, device: str) -> list[Case]:
    """Return all trainings: the teacher, then what is compared first; small networks first."""
    places = [("teacher", hyperparameters.teacher_depth, 0)]
    for roles, depths in (
        (("regular", "mse", "mse_drawn"), hyperparameters.depths),
        (("joint", "game"), hyperparameters.depths),
        (("mse_longer", "regular_longer"), hyperparameters.longer_depths),
    ):
        places += [(role, d, seed) for d in depths for seed in seeds for role in roles]
    return [
        Case(role=role, depth=depth, seed=seed, hyperparameters=hyperparameters, device=device)
        for role, depth, seed in places
    ]
