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


@dataclass(frozen=True, eq=False, kw_only=True)
class GeneticMethod(Method):
    """A method that searches the parts to keep with a genetic search.

    Selection by tournaments of two, uniform crossover, mutation, and an elite that survives.
    """

    population: Annotated[int, Within(at_least=2)] = 24  # P
    generations: Natural = 20  # after the first; 0 takes the best of the first
    mutation: Share = 0.02  # chance that a bit of a child flips
    elite: Count = 2  # fittest strings that survive unchanged, so that fitness never falls

    def __post_init__(self) -> None:
        super().__post_init__()
        allowed = f"less than method.population={self.population}"
        self.require("elite", self.elite < self.population, allowed)

    def fittest(
        self,
        first: Sequence[Bits],
        fitness: Callable[[Bits], float],
        rng: np.random.Generator,
        *,
        layers: Sequence[int],
        ones: Sequence[int] | None = None,
    ) -> SearchResult:
        """Search for a string of high fitness, with so many bits for each layer.

        ``ones`` are to be set in each layer; None: any number but zero. Strings of the ``first``
        generation that break this rule are repaired. ``fitness`` (higher is better) is called once
        per distinct string.
        """
        known: dict[bytes, float] = {}

        def value(bits_D: Bits) -> float:
            key = bits_D.tobytes()
            if key not in known:
                known[key] = fitness(bits_D)
            return known[key]

        def child() -> Bits:
            # strings are sorted, so the lower of two places wins a tournament
            mother, father = rng.integers(len(generation), size=(2, 2)).min(axis=1)
            crossed = np.where(
                rng.random(sum(layers)) < 0.5, generation[mother], generation[father]
            )
            return repaired(crossed ^ (rng.random(sum(layers)) < self.mutation), layers, ones, rng)

        strings = [repaired(bits, layers, ones, rng) for bits in first]
        generation = sorted(strings, key=value, reverse=True)
        best = [value(generation[0])]
        for _ in range(self.generations):
            children = [child() for _ in range(self.population - self.elite)]
            # sorting is stable, so among equals the older string stays in front
            generation = sorted(generation[: self.elite] + children, key=value, reverse=True)
            best.append(value(generation[0]))
        return SearchResult(generation[0], tuple(best))


def repaired(
    bits_D: Bits, layers: Sequence[int], ones: Sequence[int] | None, rng: np.random.Generator
) -> Bits:
    """Return a string with the required number of ones per layer; bits to flip are drawn."""
    found = bits_D.copy()
    for at, end in enumerate(np.cumsum(layers)):
        layer = found[end - layers[at] : end]  # a view
        have = int(layer.sum())
        want = max(1, have) if ones is None else ones[at]
        candidates = np.flatnonzero(layer if have > want else ~layer)
        layer[rng.permutation(candidates)[: abs(have - want)]] = have < want
    return found


def parameter_count(generator: SampleGenerator) -> int:
    """Return the number of parameters of a generator."""
    return sum(parameter.numel() for parameter in generator.parameters())
