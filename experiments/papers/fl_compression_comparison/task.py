"""Fashion-MNIST, or a part of its training samples, and their split among clients."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from flwr_gan.data import Dataset, Samples
from flwr_gan.data.mnist import load_fashion_mnist
from flwr_gan.data.partition import DirichletSplit, IidSplit
from flwr_gan.errors import ConfigError
from flwr_gan.seeding import numpy_rng


@cache
def fashion_mnist(**places: Any) -> Dataset:
    """Return the data set, read once."""
    return load_fashion_mnist(**places)


def some_of_fashion_mnist(*, samples: int, seed: int, **places: Any) -> Dataset:
    """Return the data set with ``samples`` of its training samples, drawn with a seed.

    ``places`` are the parameters of ``load_fashion_mnist``. Raises ConfigError if there are fewer
    samples.
    """
    data = fashion_mnist(**places)
    if samples > len(data.train):
        raise ConfigError(f"--samples {samples}: there are {len(data.train)} training samples")
    chosen = numpy_rng(seed, "samples").choice(len(data.train), samples, replace=False)
    return replace(data, train=data.train.take(np.sort(chosen)))


@dataclass(frozen=True, kw_only=True)
class StudySplit:
    """A split of the study; ``whole``: every client holds all samples.

    Its seed is the seed of the case, not the one that the app derives from it.
    """

    kind: Literal["iid", "dirichlet", "whole"]
    case_seed: int
    alpha: float  # concentration of the labels with ``dirichlet``

    def __call__(self, samples: Samples, *, num_clients: int, seed: int) -> list[NDArray[np.int64]]:
        """Return the sorted indices of each client's samples."""
        if self.kind == "whole":
            return [np.arange(len(samples))] * num_clients
        split = IidSplit() if self.kind == "iid" else DirichletSplit(alpha=self.alpha)
        return split(samples, num_clients=num_clients, seed=self.case_seed)
