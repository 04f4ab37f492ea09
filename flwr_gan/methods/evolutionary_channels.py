"""Channels chosen by evolution (Shu et al., 2019, as the survey, paper 002, describes it).

B samples, D filters in all hidden layers together: the bits of a string.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from flwr_gan.core.settings import Amount, Share, Within
from flwr_gan.errors import ConfigError
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.methods.base import Budget, TrainedGan
from flwr_gan.methods.chain import channel_counts, cut, resized
from flwr_gan.methods.channels import draw_latents, kept_counts, largest_filters
from flwr_gan.methods.genetic_search import Bits, GeneticMethod, SearchResult, parameter_count


@dataclass(frozen=True, eq=False, kw_only=True)
class EvolutionaryChannels(GeneticMethod):
    """A genetic search for the filters to keep, then training of the rest.

    A string has one bit per filter; 0 cuts it. Its fitness is ``1 / (size + w distance)``: size is
    the share of the parameters that is left, distance the mean squared difference between the
    critic's scores of the cut and of the whole generator for the same latent vectors and labels,
    divided by the variance of the latter, as critics have no fixed scale. The third term of Shu et
    al., the cycle loss, needs paired generators and is left out. The search trains nothing and does
    not count as iterations; it takes at most ``population * (generations + 1)`` passes of
    ``samples`` samples through generator and critic.
    """

    # share of the channels to cut: of each hidden layer if ``layer_counts`` is fixed, else only in
    # the strings of the first generation
    fraction: Share = 0.5
    # fixed: every string keeps the same number of channels in each layer, so that the form is known
    # in advance; free: any number, determined by size and distance
    layer_counts: Literal["fixed", "free"] = "fixed"
    distance_weight: Amount = 10.0  # w; with fixed counts all sizes are equal: it ranks nothing
    samples: Annotated[int, Within(at_least=2)] = 256  # B, generated for comparing the scores

    def student(self, generator: SampleGenerator) -> SampleGenerator:
        """Return a generator of the same class with the channels that stay.

        Raises ConfigError where ``layer_counts`` is free: then the search decides; and if nothing
        would go.
        """
        counts = kept_counts(channel_counts(generator), self.fraction)
        if self.layer_counts == "free":
            raise ConfigError(
                "method.layer_counts='free': the search decides how many channels stay, so the "
                "form is not known before it; give fixed"
            )
        return resized(generator, counts)

    def _compress(self, gan: TrainedGan, budget: Budget) -> SampleGenerator:
        """Return the fittest cut generator, trained for ``iterations`` updates."""
        found = self.search(gan, budget.rng)
        student = cut(gan.generator, _split(found.bits_D, channel_counts(gan.generator)))
        budget.train(gan, student)
        return student

    def search(self, gan: TrainedGan, rng: torch.Generator) -> SearchResult:
        """Return the fittest string of bits, and the course of the fitness."""
        generator = gan.generator
        widths = channel_counts(generator)
        counts = kept_counts(widths, self.fraction)
        z_BL, y_B = draw_latents(gan, self.samples, rng)
        critic_device = next(gan.critic.parameters()).device

        @torch.no_grad()
        def scores(network: SampleGenerator) -> NDArray[np.float64]:
            x_BTC = network.to(z_BL.device)(z_BL, y_B)
            score_B = gan.critic(x_BTC.to(critic_device), y_B.to(critic_device))
            array: NDArray[np.float64] = score_B.double().cpu().numpy()
            return array

        whole_B = scores(generator)
        scale = float(whole_B.var()) or 1.0
        size = parameter_count(generator)

        def fitness(bits_D: Bits) -> float:
            student = cut(generator, _split(bits_D, widths))
            distance = float(np.mean((scores(student) - whole_B) ** 2)) / scale
            share = parameter_count(student) / size
            return 1 / (share + self.distance_weight * distance)

        seed = torch.randint(2**63 - 1, (1,), generator=rng, device=rng.device)
        draw = np.random.default_rng(int(seed))
        ones = counts if self.layer_counts == "fixed" else None
        # the choice by magnitude is included, so that the search is never worse
        first = [_join(largest_filters(generator, counts), widths)]
        first += [draw.random(sum(widths)) >= self.fraction for _ in range(self.population - 1)]
        return self.fittest(first, fitness, draw, layers=widths, ones=ones)


def _split(bits_D: Bits, widths: tuple[int, ...]) -> list[NDArray[np.intp]]:
    return [np.flatnonzero(layer) for layer in np.split(bits_D, np.cumsum(widths)[:-1])]


def _join(kept: list[NDArray[np.intp]], widths: tuple[int, ...]) -> Bits:
    layers = [np.isin(np.arange(width), k) for width, k in zip(widths, kept, strict=True)]
    return np.concatenate(layers)
