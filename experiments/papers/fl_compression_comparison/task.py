"""Fashion-MNIST in memory, and who holds which of its training samples."""

# N samples, I inputs

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flwr_gan.data import Dataset, Samples
from flwr_gan.data.mnist import load_fashion_mnist
from flwr_gan.data.partition import DirichletSplit, IidSplit, class_counts
from flwr_gan.errors import ConfigError
from flwr_gan.seeding import numpy_rng

if TYPE_CHECKING:
    from experiments.papers.fl_compression_comparison.cases import Case

PROBE = 10_000
"""Training samples at most on which the global model is measured after every round."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """The samples of one case."""

    # all training samples, pixels in [-1, 1], and their classes
    x_NI: Tensor
    y_N: Tensor
    parts: list[Tensor]  # for each client, where its samples are in ``x_NI``
    probe: Tensor  # where the training samples are on which the model is measured after every round
    # the test samples
    test_x_NI: Tensor
    test_y_N: Tensor

    @property
    def used(self) -> Tensor:
        """Where the samples are that some client trains on."""
        return torch.from_numpy(np.unique(torch.cat(self.parts).numpy()))


@cache
def fashion_mnist() -> Dataset:
    """Return the data set, read once."""
    return load_fashion_mnist()


def make_task(case: "Case") -> Task:
    """Return the samples of a case; the split depends on partition, clients and seed alone."""
    dataset = fashion_mnist()
    rows = chosen_rows(dataset.train, case)
    everything = len(rows) == len(dataset.train)  # a copy of all would take 188 MB
    parts = split(dataset.train if everything else dataset.train.take(rows), case)
    probe = numpy_rng(case.seed, "probe").permutation(rows)[:PROBE]
    (x_NI, y_N), (test_x_NI, test_y_N) = map(tensors, (dataset.train, dataset.test))
    return Task(
        x_NI=x_NI,
        y_N=y_N,
        parts=[torch.from_numpy(rows[part]) for part in parts],
        probe=torch.from_numpy(probe),
        test_x_NI=test_x_NI,
        test_y_N=test_y_N,
    )


def chosen_rows(samples: Samples, case: "Case") -> NDArray[np.int64]:
    """Return the rows of the training samples that are used, sorted."""
    count = case.hyperparameters.num_samples
    if count is None:
        return np.arange(len(samples))
    if count > len(samples):
        raise ConfigError(f"--samples {count}: there are {len(samples)} training samples")
    return np.sort(numpy_rng(case.seed, "samples").choice(len(samples), count, replace=False))


def split(samples: Samples, case: "Case") -> list[NDArray[np.int64]]:
    """Return the rows of each client."""
    clients = case.hyperparameters.num_models
    if case.partition == "whole":
        return [np.arange(len(samples))] * clients
    if case.partition == "iid":
        return IidSplit()(samples, num_clients=clients, seed=case.seed)
    dirichlet = DirichletSplit(alpha=case.hyperparameters.dirichlet_alpha)
    return dirichlet(samples, num_clients=clients, seed=case.seed)


def held_classes(task: Task) -> list[list[int]]:
    """Return how many samples of each class each client holds."""
    counts = class_counts(task.y_N.numpy(), [p.numpy() for p in task.parts], num_classes=10)
    return [[int(count) for count in row] for row in counts]


def tensors(samples: Samples) -> tuple[Tensor, Tensor]:
    """Return flat pixels and classes, sharing the memory of the samples."""
    x_NI = torch.from_numpy(samples.x_NTC).reshape(len(samples), -1)
    return x_NI, torch.from_numpy(samples.y_N)
