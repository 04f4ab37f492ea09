"""What a client of the matrix trains: named arrays, and how they change."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import RecordDict
from flwr.common import Parameters, ndarrays_to_parameters, parameters_to_ndarrays

Arrays = dict[str, np.ndarray[Any, Any]]
Config = Mapping[str, Any]

CLIENTS = 3


@dataclass(frozen=True)
class Trained:
    """What a client sends back: arrays, its mean training loss, its number of examples."""

    arrays: Arrays
    loss: float
    examples: int


@dataclass(frozen=True)
class Score:
    """How good arrays are on the test set; ``accuracy`` is None for what has only a loss."""

    loss: float
    accuracy: float | None
    examples: int


class Model(ABC):
    """A model that is trained in a federation of ``CLIENTS`` clients within a second."""

    numpy_client = True
    """Whether a ``NumPyClient`` carries it on the legacy API."""

    @abstractmethod
    def initial(self) -> Arrays:
        """Return the arrays that the server starts with."""

    @abstractmethod
    def train(
        self, arrays: Arrays, *, partition: int, config: Config, state: RecordDict
    ) -> Trained:
        """Return what a client sends back for these arrays.

        Parameters
        ----------
        arrays : dict of str to ndarray
            What arrived.
        partition : int
            The client's number, from 0.
        config : mapping
            The strategy's settings of this round.
        state : RecordDict
            The client's own records, kept from round to round.
        """

    @abstractmethod
    def evaluate(self, arrays: Arrays, *, partition: int, state: RecordDict) -> Score:
        """Return the score of these arrays; every client has the same test set."""

    def named(self, values: list[np.ndarray[Any, Any]]) -> Arrays:
        """Return arrays under the model's names, and under numbers where it has none."""
        names = list(self.initial())
        names += [str(number) for number in range(len(names), len(values))]
        return dict(zip(names, values, strict=False))

    def to_parameters(self, arrays: Arrays) -> Parameters:
        """Return arrays as the legacy API carries them."""
        return ndarrays_to_parameters(list(arrays.values()))

    def from_parameters(self, parameters: Parameters) -> Arrays:
        """Return the arrays that the legacy API carried."""
        return self.named(parameters_to_ndarrays(parameters))


def train_examples(partition: int) -> int:
    """Return a client's number of examples; clients differ, so that weighted means are weighted."""
    return 200 + 50 * partition
