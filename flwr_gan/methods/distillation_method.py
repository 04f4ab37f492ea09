"""Distillation as a method: the trained generator teaches a narrower one."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from flwr_gan.core.settings import Count, Rate
from flwr_gan.errors import ConfigError
from flwr_gan.gan.dcgan import DepthGenerator, depth_channels
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.methods.base import Budget, Method, TrainedGan
from flwr_gan.methods.chain import channel_counts, cut, narrowed, resized
from flwr_gan.methods.channels import largest_filters
from flwr_gan.methods.distillation import distil, start_student
from flwr_gan.methods.distillation_losses import TERMS, used_terms


@dataclass(frozen=True, eq=False, kw_only=True)
class StudentForm(Method):
    """The channels and initial weights of a generator's student."""

    width: Rate = 0.5  # share of each hidden layer's channels that the student has; one stays
    # True: the student is the teacher without its weakest channels (those whose filters have the
    # smallest norm) and starts from its weights. False: it starts from newly drawn weights
    inherit: bool = False

    def student(self, generator: SampleGenerator) -> SampleGenerator:
        """Return a generator of the student's form, with arbitrary weights."""
        return resized(generator, self._channels(generator))

    def first_student(self, teacher: SampleGenerator, rng: torch.Generator) -> SampleGenerator:
        """Return the untrained student; uses ``rng`` unless it inherits weights."""
        channels = self._channels(teacher)
        if self.inherit:
            return cut(teacher, largest_filters(teacher, channels))
        seed = int(torch.randint(2**62, (), generator=rng, device=rng.device))
        student = resized(teacher, channels, seed=seed)
        start_student(student, teacher, rng)
        return student

    def _channels(self, teacher: SampleGenerator) -> tuple[int, ...]:
        return narrowed(channel_counts(teacher), self.width)


@dataclass(frozen=True, eq=False, kw_only=True)
class Distillation(StudentForm):
    """Train a student on the teacher's samples for the same latent vectors.

    Raises ConfigError if a setting is out of range or a term unknown; see ``distil``.
    """

    depth: Count | None = None  # factor d of a ``DepthGenerator``'s student; overrides ``width``
    # weight of each term of ``distillation_losses.TERMS``
    losses: Mapping[str, float] = field(default_factory=lambda: {"pixel": 1.0})
    balanced: bool = False  # True: the weights are those of the terms' gradients at the start
    learning_rate: Rate = 1e-3  # of Adam
    batch_size: Count = 64  # latent vectors in a batch

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "losses", used_terms("method.losses", self.losses, list(TERMS)))

    def _compress(self, gan: TrainedGan, budget: Budget) -> SampleGenerator:
        """Return the distilled student; labels follow those of the GAN's real samples."""
        student = self.first_student(gan.generator, budget.rng)
        student.to(next(gan.generator.parameters()).device)
        distil(
            student,
            teacher=gan.generator,
            critic=gan.critic,
            labels_N=gan.y_N,
            losses=self.losses,
            balanced=self.balanced,
            iterations=budget.iterations,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            rng=budget.rng,
            progress=budget.progress,
        )
        return student

    def _channels(self, teacher: SampleGenerator) -> tuple[int, ...]:
        before = channel_counts(teacher)
        if self.depth is None:
            return super()._channels(teacher)
        if not isinstance(teacher, DepthGenerator):
            raise ConfigError(
                f"method.depth={self.depth} is not for a {type(teacher).__name__}: give "
                "method.width, or a DepthGenerator"
            )
        channels = depth_channels(self.depth)
        if self.inherit and any(new > old for new, old in zip(channels, before, strict=True)):
            raise ConfigError(
                f"method.depth={self.depth} with method.inherit=true asks for {list(channels)} "
                f"channels of a teacher that has {list(before)}: lower it"
            )
        return channels
