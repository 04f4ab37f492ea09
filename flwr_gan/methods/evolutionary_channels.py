"""Channels chosen by evolution (Shu et al., 2019, as the survey, paper 002, describes it).

B samples, D filters in all hidden layers together: the bits of a string; P strings of a generation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from flwr_gan.core.settings import Amount, Count, Natural, Share, Within
from flwr_gan.errors import ConfigError
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.methods.base import Budget, Method, TrainedGan
from flwr_gan.methods.chain import channel_counts, cut, resized
from flwr_gan.methods.channels import draw_latents, kept_counts, largest_filters

Bits = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What a search found."""

    bits_D: Bits  # the fittest string
    fitness: tuple[float, ...]  # of the fittest of each generation; it never falls


@dataclass(frozen=True, kw_only=True)
class GeneticSearch:
    """Selection by tournaments of two, uniform crossover, mutation, and an elite that survives."""

    layers: tuple[int, ...]  # bits of each layer
    ones: tuple[int, ...] | None  # that each layer must have; None: any number but zero
    population: int  # P
    generations: int  # after the first; 0 takes the best of the first
    mutation: float  # chance that a bit of a child flips
    elite: int  # fittest strings that go into the next generation unchanged, at least 1

    def run(
        self, first: Sequence[Bits], fitness: Callable[[Bits], float], rng: np.random.Generator
    ) -> SearchResult:
        """Search for a string of high fitness.

        Strings of the ``first`` generation are repaired where they break the rule of ``ones``.
        ``fitness``, the higher the better, is asked once for each string that is met.
        """
        known: dict[bytes, float] = {}

        def value(bits_D: Bits) -> float:
            key = bits_D.tobytes()
            if key not in known:
                known[key] = fitness(bits_D)
            return known[key]

        generation = sorted((self.repair(bits, rng) for bits in first), key=value, reverse=True)
        best = [value(generation[0])]
        for _ in range(self.generations):
            children = [self._child(generation, rng) for _ in range(self.population - self.elite)]
            # sorting is stable, so among equals the older string stays in front
            generation = sorted(generation[: self.elite] + children, key=value, reverse=True)
            best.append(value(generation[0]))
        return SearchResult(generation[0], tuple(best))

    def repair(self, bits_D: Bits, rng: np.random.Generator) -> Bits:
        """Return the string with as many ones in each layer as there must be.

        Bits that have to flip are drawn at random.
        """
        repaired = bits_D.copy()
        ends = np.cumsum(self.layers)
        for at, end in enumerate(ends):
            layer = repaired[end - self.layers[at] : end]  # a view
            have = int(layer.sum())
            want = max(1, have) if self.ones is None else self.ones[at]
            candidates = np.flatnonzero(layer if have > want else ~layer)
            layer[rng.permutation(candidates)[: abs(have - want)]] = have < want
        return repaired

    def _child(self, ranked: Sequence[Bits], rng: np.random.Generator) -> Bits:
        # strings are sorted, so the lower of two places wins a tournament
        mother, father = rng.integers(len(ranked), size=(2, 2)).min(axis=1)
        crossed = np.where(rng.random(sum(self.layers)) < 0.5, ranked[mother], ranked[father])
        flips = rng.random(sum(self.layers)) < self.mutation
        return self.repair(crossed ^ flips, rng)


@dataclass(frozen=True, eq=False, kw_only=True)
class EvolutionaryChannels(Method):
    """A genetic search for the filters that stay, then training of what is left.

    A string has one bit a filter; 0 cuts it. Its fitness is ``1 / (size + w distance)``: size is
    the share of the parameters that is left, distance the mean squared difference between the
    critic's scores of the cut and of the whole generator for the same latent vectors and labels,
    over the variance of the latter, for critics have no scale of their own. The third term of Shu
    et al., the cycle loss, needs paired generators and is left out. The search is no training and
    does not count as iterations; it takes at most ``population * (generations + 1)`` passes of
    ``samples`` samples through generator and critic.

    Parameters
    ----------
    fraction : float
        Share of the channels that goes, in (0, 1): of each hidden layer where ``layer_counts`` is
        fixed, else of the strings of the first generation alone.
    layer_counts : str
        ``"fixed"``: every string keeps the same number of channels in each layer, so that the form
        is known beforehand. ``"free"``: any number; size and distance settle it.
    population, generations : int
        Strings of a generation, and generations after the first.
    mutation : float
        Chance that a bit flips, in (0, 1).
    elite : int
        Fittest strings that survive unchanged, so that fitness never falls.
    distance_weight : float
        w; with fixed layer counts the size is the same for all and w changes no ranking.
    samples : int
        B, generated samples that the scores are compared on.
    """

    fraction: Share = 0.5
    layer_counts: Literal["fixed", "free"] = "fixed"
    population: Annotated[int, Within(at_least=2)] = 24
    generations: Natural = 20
    mutation: Share = 0.02
    elite: Count = 2
    distance_weight: Amount = 10.0
    samples: Annotated[int, Within(at_least=2)] = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        allowed = f"less than method.population={self.population}"
        self.require("elite", self.elite < self.population, allowed)

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
        """Return the fittest string of bits, and how fitness rose."""
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
        genetic = GeneticSearch(
            layers=widths,
            ones=counts if self.layer_counts == "fixed" else None,
            population=self.population,
            generations=self.generations,
            mutation=self.mutation,
            elite=self.elite,
        )
        # the choice by magnitude takes part, so that the search never ends below it
        first = [_join(largest_filters(generator, counts), widths)]
        first += [draw.random(sum(widths)) >= self.fraction for _ in range(self.population - 1)]
        return genetic.run(first, fitness, draw)


def parameter_count(generator: SampleGenerator) -> int:
    """Return the number of a generator's parameters."""
    return sum(parameter.numel() for parameter in generator.parameters())


def _split(bits_D: Bits, widths: tuple[int, ...]) -> list[NDArray[np.intp]]:
    return [np.flatnonzero(layer) for layer in np.split(bits_D, np.cumsum(widths)[:-1])]


def _join(kept: list[NDArray[np.intp]], widths: tuple[int, ...]) -> Bits:
    layers = [np.isin(np.arange(width), k) for width, k in zip(widths, kept, strict=True)]
    return np.concatenate(layers)
