"""One seed: a search for tickets by short trainings, then a long training under some of its masks.

A training of Alg. 2 as long as the paper's, once for each pruning, is out of reach on a processor.
The masks come from short trainings, and only the generators that are compared are trained for long.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.papers.compressibility_wgan.cases import Case, find_generators, train_generator
from experiments.papers.compressibility_wgan.measuring import score_generators
from experiments.study.cases import StudyCase
from flwr_gan.gan import network_arrays
from flwr_gan.prune.magnitude import Mask
from flwr_gan.wire import encode_payload

LEVELS = (0, 5, 10, 14, 15, 17)
"""Prunings after which a generator is trained for long."""
CODECS = ("sparse", "sparse:int8")


@dataclass(frozen=True, kw_only=True)
class LongerCase(StudyCase):
    """A data set and a seed."""

    columns = ("data", "seed")
    title = "{data}_seed{seed}"

    data: str  # name of the data set
    seed: int  # of initial weights, trainings and samples
    iterations: int  # generator iterations of a long training
    overrides: tuple[str, ...]  # settings of the search and of the long trainings

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that the result depends on."""
        return {**self.case().settings, "longer": self.iterations}

    @property
    def work_s(self) -> float:
        """Roughly how many processor seconds it takes."""
        return 0.03 * (18 * 800 + len(LEVELS) * self.iterations)

    def case(self, *more: str) -> Case:
        """Return the case of the main study with further overrides."""
        overrides = (*self.overrides, *more)
        return Case(data=self.data, scope="global", seed=self.seed, overrides=overrides)

    def measure(self, folder: Path) -> dict[str, Any]:
        """Search, train for long, score; return the rows of quality and of sizes."""
        search = self.case().cell(folder / "search")
        find_generators(search)
        long = self.case(f"gan.iterations={self.iterations}").cell(folder / "longer")
        generator, _ = long.federation.networks(self.seed)
        initial, sizes = network_arrays(generator), []
        for level in [level for level in LEVELS if level in long.levels]:
            mask = found_mask(search, level)
            if not long.path("retrained", level).exists():
                kept = {name: np.where(mask[name], initial[name], np.float32(0)) for name in mask}
                long.save("retrained", level, train_generator(long, kept, mask, level))
            weights = long.load("retrained", level)
            size = sum(array.size for array in weights.values())
            row: dict[str, Any] = {"level": level}
            row["sparsity"] = 1 - sum(np.count_nonzero(a) for a in weights.values()) / size
            for codec in CODECS:
                row[codec] = 4 * size / len(encode_payload(weights, codec=codec))
            sizes.append(row)
        return {"quality": score_generators(long), "sizes": sizes}


def found_mask(search: Case, level: int) -> Mask:
    """Return the mask after some prunings: where the pruned generator has weights."""
    if level == 0:
        return {name: np.ones(a.shape, bool) for name, a in search.load("retrained", 0).items()}
    return {name: array != 0 for name, array in search.load("pruned", level).items()}
