"""Schedules of data that change over the rounds: new classes, new writers, another style.

The rounds are divided into stages of equal length; the last one continues to the end. A client
loses the samples of earlier stages unless ``keep_old`` is set, as if nothing may be stored.

N samples, T vectors, C components, K classes.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from flwr_gan.core.settings import Count, Settings, Within
from flwr_gan.data.dataset import Kind, Samples
from flwr_gan.errors import PartitionError
from flwr_gan.seeding import numpy_rng


@dataclass(frozen=True, kw_only=True)
class DriftContext:
    """The data that a schedule needs besides a client's samples."""

    num_classes: int
    kind: Kind
    seed: int  # of the run's drift


@dataclass(frozen=True, kw_only=True)
class Drift(Settings, ABC):
    """A schedule of stages: a client's samples in each stage, and their style."""

    group = "drift"

    stages: Annotated[int, Within(at_least=2)] = 2
    every: Count = 10  # rounds of a stage

    def stage(self, server_round: int) -> int:
        """Return the stage of a round, from 0; rounds count from 1."""
        return min((server_round - 1) // self.every, self.stages - 1)

    @abstractmethod
    def samples(
        self, samples: Samples, context: DriftContext, *, stage: int, partition: int
    ) -> Samples:
        """Return the part of a client's training samples in a stage; may be empty."""

    @abstractmethod
    def reference(
        self, clients: Sequence[Samples], test: Samples, context: DriftContext, *, stage: int
    ) -> Samples:
        """Return real samples of a stage's new data, for scoring generated ones.

        ``clients`` are all training samples of each client, ``test`` is the held-out part.
        """


@dataclass(frozen=True, kw_only=True)
class _Arrivals(Drift):
    keep_old: bool = False  # whether clients still hold the samples of earlier stages

    def _present(self, groups: Sequence[np.ndarray], stage: int) -> np.ndarray:
        return np.concatenate(groups[: stage + 1]) if self.keep_old else groups[stage]


@dataclass(frozen=True, kw_only=True)
class NewClasses(_Arrivals):
    """Classes appear in the order of their labels, in equal numbers per stage up to one.

    Raises ConfigError when a setting is out of range, or there are more stages than classes.
    """

    def samples(
        self, samples: Samples, context: DriftContext, *, stage: int, partition: int
    ) -> Samples:
        """Return the client's samples of the stage's classes; see ``Drift``."""
        classes = self._present(self.classes(context.num_classes), stage)
        return samples.take(np.flatnonzero(np.isin(samples.y_N, classes)))

    def reference(
        self, clients: Sequence[Samples], test: Samples, context: DriftContext, *, stage: int
    ) -> Samples:
        """Return held-out samples of the classes that appear in a stage."""
        classes = self.classes(context.num_classes)[stage]
        return test.take(np.flatnonzero(np.isin(test.y_N, classes)))

    def classes(self, num_classes: int) -> list[np.ndarray]:
        """Return the classes that appear in each stage."""
        self.require("stages", self.stages <= num_classes, f"at most {num_classes}, the classes")
        return np.array_split(np.arange(num_classes), self.stages)


@dataclass(frozen=True, kw_only=True)
class NewWriters(_Arrivals):
    """Each client's writers take turns: they are shuffled and dealt to the stages.

    Raises PartitionError when samples have no writers, or a client has fewer writers than stages.
    """

    def samples(
        self, samples: Samples, context: DriftContext, *, stage: int, partition: int
    ) -> Samples:
        """Return the client's samples of the stage's writers; see ``Drift``."""
        if samples.writer_N is None:
            raise PartitionError(
                "drift=new_writers needs data with writers: choose data=pendigits, uji or strokes, "
                "or another drift"
            )
        writers = np.unique(samples.writer_N)
        if len(writers) < self.stages:
            raise PartitionError(
                f"drift.stages={self.stages}: client {partition} holds {len(writers)} writers; "
                "lower it, or federation.num_clients, or choose partition=iid"
            )
        order = numpy_rng(context.seed, "drift writers", partition=partition).permutation(writers)
        present = self._present(np.array_split(order, self.stages), stage)
        return samples.take(np.flatnonzero(np.isin(samples.writer_N, present)))

    def reference(
        self, clients: Sequence[Samples], test: Samples, context: DriftContext, *, stage: int
    ) -> Samples:
        """Return the clients' training samples of the writers that appear in a stage.

        The held-out part has other writers, so it cannot distinguish the stages.
        """
        arriving = NewWriters(stages=self.stages, every=self.every)
        parts = [
            arriving.samples(held, context, stage=stage, partition=partition)
            for partition, held in enumerate(clients)
        ]
        return Samples(
            np.concatenate([part.x_NTC for part in parts]),
            np.concatenate([part.y_N for part in parts]),
        )
