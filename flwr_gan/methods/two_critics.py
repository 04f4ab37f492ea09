"""Distillation with two critics: a student generator against a student critic, a teacher for each.

B batch; Chen et al., 2020 ([34] of the survey).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from flwr_gan.core.settings import Rate
from flwr_gan.gan.adam_state import new_adam
from flwr_gan.gan.batches import check_data, draw_batches, draw_latent, generate
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.gan.training_log import run_steps
from flwr_gan.methods.base import Budget, TrainedGan
from flwr_gan.methods.distillation import update
from flwr_gan.methods.distillation_losses import (
    adversarial_loss,
    perceptual_loss,
    pixel_loss,
    used_terms,
)
from flwr_gan.methods.distillation_method import StudentForm
from flwr_gan.methods.student_critic import CRITIC_TERMS, StudentCritic, narrower_critic

GENERATOR_TERMS = ("pixel", "perceptual", "adversarial")


@dataclass(frozen=True, eq=False, kw_only=True)
class TwoCriticDistillation(StudentForm):
    """Distil generator and critic together.

    The student generator is trained to give the teacher's samples (``pixel``), also as the
    teacher's critic sees them (``perceptual``), and against a student critic (``adversarial``),
    which meanwhile learns from the teacher's critic; see ``StudentCritic``. Only the generator
    comes out.

    Parameters
    ----------
    width, inherit
        As in ``StudentForm``.
    critic_width : float
        Share of each hidden layer's channels that the student critic has.
    losses : mapping from str to float
        Weights of the generator's terms: ``pixel``, ``perceptual``, ``adversarial``.
    critic_losses : mapping from str to float
        Weights of the critic's terms: ``adversarial``, ``features``, ``triplet``.

    Raises
    ------
    ConfigError
        If a setting is out of range or a term unknown.
    """

    critic_width: Rate = 0.5
    losses: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(GENERATOR_TERMS, 1.0))
    critic_losses: Mapping[str, float] = field(
        default_factory=lambda: dict.fromkeys(CRITIC_TERMS, 1.0)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, terms in (("losses", GENERATOR_TERMS), ("critic_losses", CRITIC_TERMS)):
            used = used_terms(self.key(name), getattr(self, name), terms)
            object.__setattr__(self, name, used)

    def _compress(self, gan: TrainedGan, budget: Budget) -> SampleGenerator:
        """Return the student generator; rates, batches and critic iterations are the GAN's."""
        rng = budget.rng
        student, critic = self.start(gan, rng)
        real_NTC, label_N = check_data(gan.x_NTC, gan.y_N, gan.generator)
        adam = new_adam(student.parameters(), lr=gan.config.generator_lr, betas=gan.config.betas)

        def step() -> Tensor:
            losses = []
            for batch in draw_batches(real_NTC, label_N, student, gan.config, rng):
                with torch.no_grad():
                    teacher_BTC = generate(gan.generator, batch.y_B, rng)
                losses.append(critic.step(batch, teacher_BTC))
            loss = self._generator_loss(student, gan, critic.critic, batch.y_B, rng)
            update(adam, student, loss)
            return torch.stack([torch.stack(losses).sum(), loss.detach()])

        names = ("the student critic's loss", "the student generator's loss")
        run_steps(step, budget.iterations, names=names, progress=budget.progress)
        adam.zero_grad(set_to_none=True)
        return student

    def start(self, gan: TrainedGan, rng: torch.Generator) -> tuple[SampleGenerator, StudentCritic]:
        """Return student generator and student critic as they are before the first step."""
        device = next(gan.generator.parameters()).device
        student = self.first_student(gan.generator, rng).to(device)
        seed, mapping_seed = torch.randint(2**62, (2,), generator=rng, device=rng.device).tolist()
        critic = narrower_critic(gan.critic, self.critic_width, seed=seed).to(device)
        return student, StudentCritic(
            critic, gan.critic, losses=self.critic_losses, config=gan.config, seed=mapping_seed
        )

    def _generator_loss(
        self,
        student: SampleGenerator,
        gan: TrainedGan,
        critic: nn.Module,
        y_B: Tensor,
        rng: torch.Generator,
    ) -> Tensor:
        z_BL = draw_latent(student, len(y_B), rng)
        student_BTC = student(z_BL, y_B)
        with torch.no_grad():
            teacher_BTC = gan.generator(z_BL, y_B)
        loss: Tensor = student_BTC.new_zeros(())
        if "pixel" in self.losses:
            loss = loss + self.losses["pixel"] * pixel_loss(student_BTC, teacher_BTC)
        if "perceptual" in self.losses:
            mine = gan.critic.features(student_BTC, y_B)[:-1]  # type: ignore[operator]
            with torch.no_grad():
                theirs = gan.critic.features(teacher_BTC, y_B)[:-1]  # type: ignore[operator]
            loss = loss + self.losses["perceptual"] * perceptual_loss(mine, theirs)
        if "adversarial" in self.losses:
            score_B = critic(student_BTC, y_B)
            loss = loss + self.losses["adversarial"] * adversarial_loss(score_B)
        return loss
