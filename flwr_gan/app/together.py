"""Joint training of several clients in one program."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from logging import getLogger
from typing import TypeVar

import torch

from flwr_gan.app.turns import run_in_turns
from flwr_gan.engine.inline_grid import one_by_one, submit
from flwr_gan.gan import torch_threads
from flwr_gan.gan.batched import Training, alike, train_together
from flwr_gan.gan.training_log import TrainLog

R = TypeVar("R")

log = getLogger(__name__)


def run_together(jobs: Sequence[Callable[[], R]]) -> list[R]:
    """Run jobs; trainings by ``train`` inside them run together.

    A single job is called directly, without a thread. Results are in the order of the jobs. An
    error of a job is raised when all have ended; of several errors, the first job's.
    """
    return run_in_turns(jobs, serve=_train_all) if len(jobs) > 1 else one_by_one(jobs)


def train(
    training: Training, *, iterations: int | None = None, progress: str | None = None
) -> TrainLog:
    """Do ``training.train_alone``; in a job, together with similar trainings of other jobs.

    Arguments, result and errors are those of ``WganGpTrainer.train``.
    """
    iterations = training.trainer.config.iterations if iterations is None else iterations
    request = _Request(training, iterations, progress)
    return request.result() if submit(request) else request.train_alone()


@dataclass
class _Request:
    """A training requested by a job, and its result."""

    training: Training
    iterations: int
    progress: str | None
    threads: int = field(default_factory=torch.get_num_threads)
    outcome: TrainLog | Exception | None = None

    def train_alone(self) -> TrainLog:
        return self.training.train_alone(iterations=self.iterations, progress=self.progress)

    def goes_with(self, other: "_Request") -> bool:
        a, b = self.training, other.training
        same = (self.iterations, self.threads) == (other.iterations, other.threads)
        shared = a.trainer is b.trainer or a.rng is b.rng
        return same and not shared and alike([a, b])

    def result(self) -> TrainLog:
        assert self.outcome is not None, "every request is served"
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def _train_all(requests: list[_Request]) -> None:
    """Train similar trainings together, in groups in the order of the jobs."""
    groups: list[list[_Request]] = []
    for request in requests:
        fits = (g for g in groups if all(request.goes_with(other) for other in g))
        if (group := next(fits, None)) is None:
            groups.append(group := [])
        group.append(request)
    for group in groups:
        with torch_threads(group[0].threads):
            if len(group) == 1 or not _trained_together(group):
                for request in group:
                    try:
                        request.outcome = request.train_alone()
                    except Exception as error:  # raised in the job that made the request
                        request.outcome = error


def _trained_together(group: list[_Request]) -> bool:
    """Train a group in one program; if that fails, restore everything and return False."""
    trainings, first = [request.training for request in group], group[0]
    label = first.progress and f"{first.progress} and {len(group) - 1} more"
    try:
        logs = train_together(trainings, iterations=first.iterations, progress=label)
    except Exception as error:  # separate training will show whose error it is
        log.debug("%d trainings do not share a program: %s", len(group), error)
        return False
    for request, found in zip(group, logs, strict=True):
        request.outcome = found
    return True
