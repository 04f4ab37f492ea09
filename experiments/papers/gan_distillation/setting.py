"""The settings: the paper's Table 1, our sizes and hyperparameters."""

import math
from dataclasses import dataclass

from flwr_gan.errors import ConfigError
from flwr_gan.gan import GanConfig

LATENT_DIM = 100

ROLES = {
    "teacher": "teacher",
    "mse": "student, MSE",
    "mse_drawn": "student, MSE, last layer as drawn",
    "joint": "student, joint loss",
    "game": "student, joint loss, own critic",
    "regular": "regular",
    "mse_longer": "student, MSE, longer",
    "regular_longer": "regular, longer",
}
"""Ways to train a generator, by short name."""

RIVALS = {
    "mse": "regular",
    "mse_drawn": "regular",
    "joint": "regular",
    "game": "regular",
    "mse_longer": "regular_longer",
}
"""The GANs that each student is compared with: the same number of generator updates."""


@dataclass(frozen=True)
class Published:
    """A column of the paper's Table 1, MNIST: parameters, ratio, inception scores."""

    parameters: int
    ratio: int
    student: float
    regular: float


TABLE_1 = {
    2: Published(28_351, 1669, 5.80, 1.86),
    4: Published(62_077, 762, 6.41, 3.63),
    8: Published(145_657, 325, 6.60, 4.73),
    16: Published(377_329, 125, 6.83, 5.07),
    32: Published(1_098_721, 43, 6.87, 6.08),
    64: Published(3_573_697, 13, 6.93, 6.51),
    128: Published(12_652_417, 4, 6.97, 6.63),
}
PUBLISHED_TEACHER = (256, 47_324_929, 7.02)
"""Depth, parameters and inception score of the paper's teacher."""


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """Sizes and hyperparameters; the paper's text has only the sizes."""

    teacher_depth: int = 32  # d of the teacher
    depths: tuple[int, ...] = (2, 8)  # d of the students and of the regular GANs
    # generator updates of the teacher, and of each student and regular GAN
    teacher_iterations: int = 1000
    iterations: int = 800
    longer: int = 3  # factor of the updates of the control with longer training
    longer_depths: tuple[int, ...] = (2,)  # d of that control: regular GANs and students by MSE
    num_samples: int = 20_000  # training images
    batch_size: int = 32  # of all trainings
    critic_iterations: int = 2  # R, critic updates for each generator update
    learning_rate: float = 1e-3  # Adam's at d = 32; see ``rate``
    betas: tuple[float, float] = (0.5, 0.9)  # Adam's decay rates of all GANs
    # norm of the adversarial term's gradient in the joint loss at the start; the pixel term has 1
    adversarial: float = 0.1
    judged_samples: int = 2500  # number of generated images, and of test images, for scores

    def __post_init__(self) -> None:
        for name in ("teacher_depth", "teacher_iterations", "iterations", "longer", "num_samples"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} is not allowed: give at least 1")
        if not self.depths or min(self.depths) < 1 or len(set(self.depths)) < len(self.depths):
            raise ConfigError(
                f"depths={self.depths} is not allowed: give numbers from 1, each once"
            )

    def rate(self, depth: int) -> float:
        """Return Adam's learning rate at depth d: small networks take larger steps."""
        return self.learning_rate * math.sqrt(32 / depth)

    def gan(self, depth: int) -> GanConfig:
        """Return the settings of adversarial training at depth d."""
        rate = self.rate(depth)
        return GanConfig(
            latent_dim=LATENT_DIM, batch_size=self.batch_size, generator_lr=rate, critic_lr=rate,
            critic_iterations=self.critic_iterations, betas=self.betas,
            critic_gradients="autograd",
        )  # fmt: skip


PRESETS = {
    "default": Hyperparameters(),
    "short": Hyperparameters(
        teacher_depth=4, depths=(1, 2), teacher_iterations=6, iterations=4, longer=2,
        longer_depths=(1,), num_samples=200, batch_size=8, critic_iterations=1, judged_samples=100,
    ),
    "full": Hyperparameters(
        teacher_depth=256, depths=tuple(TABLE_1), teacher_iterations=20_000, iterations=20_000,
        longer_depths=(2, 4, 8), num_samples=60_000, batch_size=64, critic_iterations=5,
        learning_rate=3e-4, betas=(0.0, 0.9), judged_samples=5_000,
    ),
}  # fmt: skip
"""``default``: some four hours of training on one core; ``full``: the paper's, for a GPU."""
