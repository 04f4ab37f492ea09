"""A genetic search over strings of bits, and the settings of methods that use it.

D bits of a string, P strings of a generation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from flwr_gan.core.settings import Count, Natural, Share, Within
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.methods.base import Method

Bits = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The result of a search."""

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

        Strings of the ``first`` generation that break the rule of ``ones`` are repaired.
        ``fitness`` (higher is better) is called once per distinct string.
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
        """Return the string with the required number of ones in each layer.

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
class GeneticMethod(Method):
    """A method that searches the parts to keep with a genetic search.

    Parameters
    ----------
    population, generations : int
        Strings of a generation, and generations after the first.
    mutation : float
        Chance that a bit flips, in (0, 1).
    elite : int
        Fittest strings that survive unchanged, so that fitness never falls.
    """

    population: Annotated[int, Within(at_least=2)] = 24
    generations: Natural = 20
    mutation: Share = 0.02
    elite: Count = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        allowed = f"less than method.population={self.population}"
        self.require("elite", self.elite < self.population, allowed)

    def genetic(self, layers: tuple[int, ...], *, ones: tuple[int, ...] | None) -> GeneticSearch:
        """Return the search over strings with so many bits for each layer."""
        return GeneticSearch(
            layers=layers,
            ones=ones,
            population=self.population,
            generations=self.generations,
            mutation=self.mutation,
            elite=self.elite,
        )


def parameter_count(generator: SampleGenerator) -> int:
    """Return the number of parameters of a generator."""
    return sum(parameter.numel() for parameter in generator.parameters())
