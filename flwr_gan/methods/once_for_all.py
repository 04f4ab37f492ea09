"""Once for all: one training of all widths with shared weights, then a search among them.

Li et al., 2020, "GAN compression", with the once-for-all training of Cai et al., 2020, as the
survey, paper 002, describes them. H channels of a layer, B samples; S steps of width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from flwr_gan.core.settings import Count, Rate, Share, Within
from flwr_gan.errors import ConfigError
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.methods.base import Budget, TrainedGan
from flwr_gan.methods.chain import ChannelFactors, channel_counts, cut, hidden_outputs
from flwr_gan.methods.channels import draw_latents, filter_norms
from flwr_gan.methods.distillation import distil
from flwr_gan.methods.genetic_search import Bits, GeneticMethod, parameter_count


@dataclass(frozen=True, eq=False, kw_only=True)
class OnceForAll(GeneticMethod):
    """Trains students of all widths with shared weights, and searches the best for a size.

    The student starts as the teacher with the channels of each hidden layer in order of the norm of
    their filters. A narrower one has the first channels of each layer. In each update of the first
    training every hidden layer has a width drawn from 1/S, 2/S, ..., 1 of its channels, and the
    student learns the teacher's samples for the same latent vectors (the term ``pixel`` of
    distillation). Then a genetic search (``GeneticMethod``), without training, finds the widths
    with at most ``size`` of the parameters whose samples have the least mean squared difference to
    the teacher's. The result is trained adversarially.
    """

    size: Share = 0.3  # largest share of the teacher's parameters in the result
    steps: Annotated[int, Within(at_least=2)] = 8  # S, widths that a layer can have
    share: Share = 0.5  # of the training for all widths together
    learning_rate: Rate = 1e-3  # of Adam in that training
    mutation: Share = 0.1
    samples: Count = 256  # B, generated and compared in the search

    def student(self, generator: SampleGenerator) -> SampleGenerator:
        """Raise ConfigError: the search decides on the widths."""
        raise ConfigError(
            "method=once_for_all searches the widths, so the form of the generator is not known "
            "before the training; give method=distillation for a form that is"
        )

    def _compress(self, gan: TrainedGan, budget: Budget) -> SampleGenerator:
        """Return the best student; both trainings together take ``iterations``."""
        first = round(self.share * budget.iterations)
        shared = SharedWidths(gan.generator, steps=self.steps, rng=budget.rng)
        distil(
            shared,
            teacher=gan.generator,
            labels_N=gan.y_N,
            losses={"pixel": 1.0},
            iterations=first,
            batch_size=gan.config.batch_size,
            learning_rate=self.learning_rate,
            rng=budget.rng,
            progress=budget.progress,
        )
        student = shared.student(self.search(shared, gan, budget.rng))
        budget.train(gan, student, iterations=budget.iterations - first)
        return student

    def search(
        self, shared: "SharedWidths", gan: TrainedGan, rng: torch.Generator
    ) -> tuple[int, ...]:
        """Return the widths, in steps, of the student nearest to the teacher within the size.

        Raises ConfigError if the narrowest student is larger.
        """
        z_BL, y_B = draw_latents(gan, self.samples, rng)
        most = self.size * parameter_count(gan.generator)
        layers = len(channel_counts(gan.generator))
        if (least := parameter_count(shared.student((1,) * layers))) > most:
            raise ConfigError(
                f"method.size={self.size!r} allows {most:.0f} parameters, and the narrowest "
                f"student has {least}: give more, or more method.steps"
            )
        with torch.no_grad():
            wanted_BTC = gan.generator(z_BL, y_B)

        def fitness(bits_D: Bits) -> float:
            student = shared.student(_widths(bits_D, self.steps)).to(z_BL.device)
            if (count := parameter_count(student)) > most:
                return -count
            with torch.no_grad():
                # numbers in [-1, 1] differ by 2 at most: above each student that is too large
                return -float((student(z_BL, y_B) - wanted_BTC).square().mean()) / 4

        draw = np.random.default_rng(
            int(torch.randint(2**62, (), generator=rng, device=rng.device))
        )
        # of all sizes; the narrowest one takes part, so that what is found fits
        shares = np.linspace(0, 1, self.population)
        first = [draw.random(layers * self.steps) < share for share in shares]
        first[0] = np.tile(np.arange(self.steps) == 0, layers)
        found = self.fittest(first, fitness, draw, layers=(self.steps,) * layers)
        return _widths(found.bits_D, self.steps)


class SharedWidths(SampleGenerator):
    """A generator whose hidden layers have other widths in each pass, drawn from ``rng``.

    Channels are sorted by the norm of their filters; channels unused in a pass give zero.
    """

    def __init__(self, generator: SampleGenerator, *, steps: int, rng: torch.Generator) -> None:
        super().__init__()
        self.take_sizes(generator)
        order = [np.argsort(-norm_H, kind="stable") for norm_H in filter_norms(generator)]
        self.whole = cut(generator, order)
        self.whole.to(next(generator.parameters()).device)
        self._counts = channel_counts(generator)
        self._steps, self._rng = steps, rng
        self._factors = [ChannelFactors(torch.ones(count)) for count in self._counts]
        for layer, factors in zip(hidden_outputs(self.whole), self._factors, strict=True):
            layer.register_forward_hook(factors)

    def forward(self, z_BL: Tensor, y_B: Tensor) -> Tensor:
        """Generate ``x_BTC`` with widths that are drawn now."""
        size = (len(self._counts),)
        drawn = torch.randint(
            1, self._steps + 1, size, generator=self._rng, device=self._rng.device
        )
        return self.with_widths(drawn.tolist(), z_BL, y_B)

    def with_widths(self, widths: Sequence[int], z_BL: Tensor, y_B: Tensor) -> Tensor:
        """Generate what ``student(widths)`` does."""
        for factors, count in zip(self._factors, self._channels(widths), strict=True):
            channel_H = torch.arange(len(factors.factor_H), device=z_BL.device)
            factors.factor_H = (channel_H < count).to(z_BL.dtype)
        x_BTC: Tensor = self.whole(z_BL, y_B)
        return x_BTC

    def student(self, widths: Sequence[int]) -> SampleGenerator:
        """Return the generator of these widths, in steps from 1 to S."""
        return cut(self.whole, [np.arange(count) for count in self._channels(widths)])

    def _channels(self, widths: Sequence[int]) -> list[int]:
        """Return the channels of each layer, at least one."""
        pairs = zip(widths, self._counts, strict=True)
        return [max(1, round(count * width / self._steps)) for width, count in pairs]


def _widths(bits_D: Bits, steps: int) -> tuple[int, ...]:
    """Return the width of each layer: the number of its bits that are set."""
    return tuple(int(count) for count in bits_D.reshape(-1, steps).sum(axis=1))
