"""Distillation with two critics: student generator and student critic, each with a teacher.

B batch, T vectors, C components; Chen et al., 2020, "Distilling portable generative adversarial
networks for image translation" ([34] of the survey).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F  # noqa: N812 - the name that PyTorch code gives it
from torch import Tensor, nn

from flwr_gan.core.settings import Rate
from flwr_gan.errors import ConfigError
from flwr_gan.gan.adam_state import new_adam
from flwr_gan.gan.batches import Batch, check_data, draw_batches, draw_latent, generate
from flwr_gan.gan.config import GanConfig
from flwr_gan.gan.dcgan import DepthCritic
from flwr_gan.gan.losses import gradient_penalty, wasserstein_estimate
from flwr_gan.gan.networks import Critic, SampleGenerator
from flwr_gan.gan.training_log import run_steps
from flwr_gan.methods.base import Budget, TrainedGan
from flwr_gan.methods.chain import narrowed
from flwr_gan.methods.distillation import balanced_weights, channel_mappings, update
from flwr_gan.methods.distillation_losses import perceptual_loss, triplet_loss, used_terms
from flwr_gan.methods.distillation_method import StudentForm

GENERATOR_TERMS = ("pixel", "perceptual", "adversarial")
CRITIC_TERMS = ("adversarial", "features", "triplet")


@dataclass(frozen=True, eq=False, kw_only=True)
class TwoCriticDistillation(StudentForm):
    """Distil generator and critic together.

    The student generator is trained on the teacher's samples (``pixel``), on the teacher critic's
    features of them (``perceptual``), and against a student critic (``adversarial``), which
    meanwhile learns from the teacher's critic; see ``StudentCritic``. The result is only the
    generator.

    Raises ConfigError if a setting is out of range or a term unknown.
    """

    critic_width: Rate = 0.5  # share of each hidden layer's channels that the student critic has
    # weights of the generator's terms
    losses: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(GENERATOR_TERMS, 1.0))
    # True: they are those of the gradients of the terms at the start, as in ``distil``
    balanced: bool = False
    # weights of the critic's terms
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
        student, critic = self.start(gan, budget.rng)
        self.play(student, critic, gan, budget)
        return student

    def play(
        self, student: SampleGenerator, critic: "StudentCritic", gan: TrainedGan, budget: Budget
    ) -> None:
        """Train student generator and student critic in place, in turns."""
        rng = budget.rng
        real_NTC, label_N = check_data(gan.x_NTC, gan.y_N, gan.generator)
        adam = new_adam(student.parameters(), lr=gan.config.generator_lr, betas=gan.config.betas)
        weights = {} if self.balanced else dict(self.losses)

        def step() -> Tensor:
            losses = []
            for batch in draw_batches(real_NTC, label_N, student, gan.config, rng):
                with torch.no_grad():
                    teacher_BTC = generate(gan.generator, batch.y_B, rng)
                losses.append(critic.step(batch, teacher_BTC))
            terms = self._generator_terms(student, gan, critic.critic, batch.y_B, rng)
            if not weights:
                found = balanced_weights(
                    self.losses, list(terms.values()), list(student.parameters())
                )
                weights.update(zip(terms, found, strict=True))
            loss = _weighted(terms, weights)
            update(adam, student, loss)
            return torch.stack([torch.stack(losses).sum(), loss.detach()])

        names = ("the student critic's loss", "the student generator's loss")
        run_steps(step, budget.iterations, names=names, progress=budget.progress)
        adam.zero_grad(set_to_none=True)

    def start(
        self, gan: TrainedGan, rng: torch.Generator
    ) -> tuple[SampleGenerator, "StudentCritic"]:
        """Return untrained student generator and student critic."""
        device = next(gan.generator.parameters()).device
        student = self.first_student(gan.generator, rng).to(device)
        seed, mapping_seed = torch.randint(2**62, (2,), generator=rng, device=rng.device).tolist()
        critic = narrower_critic(gan.critic, self.critic_width, seed=seed).to(device)
        return student, StudentCritic(
            critic, gan.critic, losses=self.critic_losses, config=gan.config, seed=mapping_seed
        )

    def _generator_terms(
        self,
        student: SampleGenerator,
        gan: TrainedGan,
        critic: nn.Module,
        y_B: Tensor,
        rng: torch.Generator,
    ) -> dict[str, Tensor]:
        z_BL = draw_latent(student, len(y_B), rng)
        student_BTC = student(z_BL, y_B)
        with torch.no_grad():
            teacher_BTC = gan.generator(z_BL, y_B)
        terms = {}
        if "pixel" in self.losses:
            terms["pixel"] = F.mse_loss(student_BTC, teacher_BTC)
        if "perceptual" in self.losses:
            mine = _hidden(gan.critic, student_BTC, y_B)
            with torch.no_grad():
                theirs = _hidden(gan.critic, teacher_BTC, y_B)
            terms["perceptual"] = perceptual_loss(mine, theirs)
        if "adversarial" in self.losses:
            terms["adversarial"] = -critic(student_BTC, y_B).mean()
        return terms


class StudentCritic:
    """A critic with its optimiser, mappings to the teacher's layers and loss weights.

    Its loss is the weighted sum of

    - ``adversarial``: minus the Wasserstein estimate between real samples and the student
      generator's, with the gradient penalty;
    - ``features``: the mean squared difference of its hidden layers, mapped to the teacher's width,
      to the teacher's layers, for real samples and the teacher generator's (the survey's Eq. 6, on
      the critic);
    - ``triplet``: a real sample should be nearer to the teacher generator's sample than to the
      student generator's, by the margin.

    ``critic`` and ``teacher``, the teacher's, have a method ``features``. ``losses`` gives the
    weight of each term; ``critic_lr``, ``betas`` and ``penalty`` come from the config, and ``seed``
    is that of the mappings.
    """

    def __init__(
        self,
        critic: nn.Module,
        teacher: nn.Module,
        *,
        losses: Mapping[str, float],
        config: GanConfig,
        seed: int,
    ) -> None:
        self.critic = critic
        self._teacher = teacher
        self._losses = dict(losses)
        self._penalty = config.penalty
        device = next(critic.parameters()).device
        self.mappings = channel_mappings(_widths(critic), _widths(teacher), seed=seed).to(device)
        self._trained = nn.ModuleList([critic, self.mappings])
        self._adam = new_adam(self._trained.parameters(), lr=config.critic_lr, betas=config.betas)

    def terms(self, batch: Batch, teacher_BTC: Tensor) -> dict[str, Tensor]:
        """Return each term that has a weight, before it is weighted."""
        found = {}
        real_BTC, fake_BTC, y_B, mix_B = batch
        if self._losses.get("adversarial"):
            found["adversarial"] = self._penalty * gradient_penalty(
                self.critic, real_BTC, fake_BTC, y_B, mix_B
            ) - wasserstein_estimate(self.critic, real_BTC, fake_BTC, y_B)
        if not (self._losses.get("features") or self._losses.get("triplet")):
            return found
        real, made = _hidden(self.critic, real_BTC, y_B), _hidden(self.critic, teacher_BTC, y_B)
        if self._losses.get("features"):
            found["features"] = self._features_loss(real, real_BTC, y_B) + self._features_loss(
                made, teacher_BTC, y_B
            )
        if self._losses.get("triplet"):
            found["triplet"] = triplet_loss(real, made, _hidden(self.critic, fake_BTC, y_B))
        return found

    def step(self, batch: Batch, teacher_BTC: Tensor) -> Tensor:
        """Update critic and mappings once; return the weighted loss before it."""
        terms = self.terms(batch, teacher_BTC)
        loss = _weighted(terms, self._losses)
        update(self._adam, self._trained, loss)
        return loss.detach()

    def _features_loss(self, mine: Sequence[Tensor], x_BTC: Tensor, y_B: Tensor) -> Tensor:
        with torch.no_grad():
            theirs = _hidden(self._teacher, x_BTC, y_B)
        layers = zip(mine, theirs, self.mappings, strict=True)
        return torch.stack(
            [F.mse_loss(mapping(_flat(m)), _flat(t)) for m, t, mapping in layers]
        ).sum()


def narrower_critic(critic: nn.Module, width: float, *, seed: int) -> nn.Module:
    """Return a freshly drawn critic of the same class with a share of the hidden channels.

    One channel stays in any case. Raises ConfigError for another class than ``Critic`` and
    ``DepthCritic``.
    """
    if isinstance(critic, DepthCritic):
        channels = [layer.get_parameter("bias").numel() for layer in critic.layers[:-1]]
        return DepthCritic(narrowed(channels, width), num_classes=critic.num_classes, seed=seed)
    if isinstance(critic, Critic):
        num_classes = len(critic.get_buffer("onehot_KK"))
        hidden = narrowed([critic.fc1.out_features, critic.fc2.out_features], width)
        inputs = critic.fc1.in_features - num_classes
        return Critic(inputs, 1, num_classes, hidden=hidden, seed=seed)
    raise ConfigError(
        f"a {type(critic).__name__} cannot be made narrower: give a Critic or a DepthCritic"
    )


def _widths(critic: nn.Module) -> list[int]:
    kinds = (nn.Linear, nn.Conv2d)
    return [len(layer.weight) for layer in critic.modules() if isinstance(layer, kinds)][:-1]


def _flat(layer: Tensor) -> Tensor:
    """Return a layer's output with shape (B, channels, numbers of a channel)."""
    return layer.flatten(2) if layer.ndim > 2 else layer[:, :, None]


def _hidden(critic: nn.Module, x_BTC: Tensor, y_B: Tensor) -> Sequence[Tensor]:
    return critic.features(x_BTC, y_B)[:-1]  # type: ignore[operator, no-any-return]


def _weighted(terms: Mapping[str, Tensor], losses: Mapping[str, float]) -> Tensor:
    return torch.stack([losses[name] * term for name, term in terms.items()]).sum()
