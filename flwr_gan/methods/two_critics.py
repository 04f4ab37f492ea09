"""Distillation with two critics: a student generator against a student critic, a teacher for each.

B batch; Chen et al., 2020 ([34] of the survey).
"""

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn
from tqdm import trange

from flwr_gan.errors import ConfigError, TrainingError
from flwr_gan.gan.adam_state import new_adam
from flwr_gan.gan.batches import check_data, draw_batches, generate
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.methods.base import Method, TrainedGan
from flwr_gan.methods.distillation import require_rate, update
from flwr_gan.methods.distillation_losses import adversarial_loss, perceptual_loss, pixel_loss
from flwr_gan.methods.distillation_method import Distillation
from flwr_gan.methods.settings import require, require_amount
from flwr_gan.methods.student_critic import CRITIC_TERMS, StudentCritic, narrower_critic

GENERATOR_TERMS = ("pixel", "perceptual", "adversarial")
EQUAL: Mapping[str, float] = MappingProxyType(dict.fromkeys(GENERATOR_TERMS, 1.0))
CRITIC_EQUAL: Mapping[str, float] = MappingProxyType(dict.fromkeys(CRITIC_TERMS, 1.0))


class TwoCriticDistillation(Method):
    """Distil generator and critic together.

    The student generator is trained to give the teacher's samples (``pixel``), also as the
    teacher's critic sees them (``perceptual``), and against a student critic (``adversarial``),
    which meanwhile learns from the teacher's critic; see ``StudentCritic``. Only the generator
    comes out.

    Parameters
    ----------
    width : float
        Share of each hidden layer's channels that the student generator has.
    critic_width : float
        The same for the student critic.
    inherit : bool
        As for ``Distillation``.
    losses : mapping from str to float
        Weights of the generator's terms: ``pixel``, ``perceptual``, ``adversarial``.
    critic_losses : mapping from str to float
        Weights of the critic's terms: ``adversarial``, ``features``, ``triplet``.

    Raises
    ------
    ConfigError
        If a setting is out of range or a term unknown.
    """

    def __init__(
        self,
        *,
        width: float = 0.5,
        critic_width: float = 0.5,
        inherit: bool = False,
        losses: Mapping[str, float] = EQUAL,
        critic_losses: Mapping[str, float] = CRITIC_EQUAL,
    ) -> None:
        self._form = Distillation(width=width, inherit=inherit)
        require_rate("critic_width", critic_width)
        self._critic_width = critic_width
        self._losses = _used("losses", losses, GENERATOR_TERMS)
        self._critic_losses = _used("critic_losses", critic_losses, CRITIC_TERMS)

    def student(self, generator: SampleGenerator) -> SampleGenerator:
        """Return a generator of the student's form, with weights of no meaning."""
        return self._form.student(generator)

    def compress(
        self,
        gan: TrainedGan,
        *,
        iterations: int,
        rng: torch.Generator,
        progress: str | None = None,
    ) -> SampleGenerator:
        """Return the student generator; rates, batches and critic iterations are the GAN's."""
        student, critic = self.start(gan, rng)
        real_NTC, y_N = check_data(gan.x_NTC, gan.y_N, gan.generator)
        weights = list(student.parameters())
        adam = new_adam(student, lr=gan.config.generator_lr, betas=gan.config.betas)
        steps = trange(iterations, desc=progress, disable=None if progress else True, leave=False)
        with steps:
            for step in steps:
                losses = []
                for batch in draw_batches(real_NTC, y_N, student, gan.config, rng):
                    with torch.no_grad():
                        teacher_BTC = generate(gan.generator, batch.y_B, rng)
                    losses.append(critic.step(batch, teacher_BTC))
                loss = self._generator_loss(student, gan, critic.critic, batch.y_B, rng)
                update(adam, weights, loss)
                if not bool(torch.stack([*losses, loss.detach()]).isfinite().all()):
                    raise TrainingError(
                        f"a loss of the distillation is not finite in iteration {step + 1} of "
                        f"{iterations}: lower the learning rates of the gan settings"
                    )
        adam.zero_grad(set_to_none=True)
        return student

    def start(self, gan: TrainedGan, rng: torch.Generator) -> tuple[SampleGenerator, StudentCritic]:
        """Return student generator and student critic as they are before the first step.

        Parameters
        ----------
        gan : TrainedGan
            Not changed.
        rng : torch.Generator
            Advances.
        """
        device = next(gan.generator.parameters()).device
        student = self._form.start(gan.generator, rng).to(device)
        seed, mapping_seed = torch.randint(2**62, (2,), generator=rng, device=rng.device).tolist()
        critic = narrower_critic(gan.critic, self._critic_width, seed=seed).to(device)
        return student, StudentCritic(
            critic, gan.critic, losses=self._critic_losses, config=gan.config, seed=mapping_seed
        )

    def _generator_loss(
        self,
        student: SampleGenerator,
        gan: TrainedGan,
        critic: nn.Module,
        y_B: Tensor,
        rng: torch.Generator,
    ) -> Tensor:
        z_BL = torch.randn((len(y_B), student.latent_dim), generator=rng, device=rng.device)
        z_BL = z_BL.to(y_B.device)
        student_BTC = student(z_BL, y_B)
        with torch.no_grad():
            teacher_BTC = gan.generator(z_BL, y_B)
        loss: Tensor = student_BTC.new_zeros(())
        if "pixel" in self._losses:
            loss = loss + self._losses["pixel"] * pixel_loss(student_BTC, teacher_BTC)
        if "perceptual" in self._losses:
            mine = gan.critic.features(student_BTC, y_B)[:-1]  # type: ignore[operator]
            with torch.no_grad():
                theirs = gan.critic.features(teacher_BTC, y_B)[:-1]  # type: ignore[operator]
            loss = loss + self._losses["perceptual"] * perceptual_loss(mine, theirs)
        if "adversarial" in self._losses:
            score_B = critic(student_BTC, y_B)
            loss = loss + self._losses["adversarial"] * adversarial_loss(score_B)
        return loss


def _used(key: str, losses: Mapping[str, float], terms: tuple[str, ...]) -> dict[str, float]:
    for name, weight in losses.items():
        if name not in terms:
            raise ConfigError(f"method.{key}.{name} is unknown: allowed are {', '.join(terms)}")
        require_amount(f"{key}.{name}", weight)
    used = {name: float(weight) for name, weight in losses.items() if weight}
    require(key, dict(losses), bool(used), f"at least one of {', '.join(terms)} a weight above 0")
    return used
