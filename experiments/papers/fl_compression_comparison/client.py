"""The client: a plain Flower app that trains SimpleNN or its student and knows of no codec."""

import time
from functools import partial

import numpy as np
import torch
from flwr.app import ArrayRecord, Context
from flwr.client import Client, NumPyClient
from flwr.clientapp import ClientApp
from flwr.common import Config, NDArrays, Scalar
from numpy.typing import NDArray
from torch import Tensor

from experiments.papers.fl_compression_comparison.network import (
    STUDENT_SIZES,
    TEACHER_SIZES,
    LossGradient,
    Network,
    printed_gradient,
    shuffled,
    train,
)
from experiments.papers.fl_compression_comparison.setting import Run
from experiments.papers.fl_compression_comparison.task import Task
from flwr_gan.flower import compression_mod
from flwr_gan.methods.classifier_distillation import (
    cross_entropy_gradient,
    distillation_gradient,
)
from flwr_gan.prune.magnitude import prune_smallest
from flwr_gan.seeding import derive_seed

_TEACHER = "teacher"


class ClassifierClient(NumPyClient):
    """Trains the network that comes in for one pass over its own samples, and prunes it.

    With distillation the client trains a teacher, SimpleNN, on its own samples before the first
    round. The teacher never travels; its logits for the client's samples stay in the context.
    """

    def __init__(self, task: Task, case: Run, context: Context) -> None:
        self._task, self._case, self._state = task, case, context.state
        self._partition = int(str(context.node_config["partition-id"]))
        self._own = task.parts[self._partition]

    def fit(self, parameters: NDArrays, config: Config) -> tuple[NDArrays, int, dict[str, Scalar]]:
        """Return the trained weights, and the seconds of processor time that they took."""
        started = time.thread_time()
        settings, method = self._case.hyperparameters, self._case.method
        loss_gradient = self._loss_gradient()
        taught = time.thread_time()
        network = Network(STUDENT_SIZES if method.small else TEACHER_SIZES, seed=0)
        network.load(parameters)
        self._train(
            network,
            loss_gradient,
            seed=self._seed("order", int(config["round"])),
            passes=1,
            proximal_mu=float(config.get("proximal_mu", 0.0)),
        )
        arrays: NDArrays = network.arrays
        if method.prune:
            arrays = [prune_layer(array, settings.prune_amount) for array in arrays]
        ended = time.thread_time()
        metrics: dict[str, Scalar] = {
            "partition": self._partition,
            "teacher_s": taught - started,
            "compute_s": ended - taught,
        }
        return arrays, len(self._own), metrics

    def _loss_gradient(self) -> LossGradient:
        y_N = self._task.y_N[self._own]
        settings, method = self._case.hyperparameters, self._case.method
        if not method.distil:
            return lambda z_BK, places: cross_entropy_gradient(z_BK, y_N[places])
        t_NK = self._teacher_logits()
        gradient = partial(
            printed_gradient if method.as_printed else distillation_gradient,
            alpha=settings.distill_alpha,
            temperature=settings.distill_temperature,
        )
        return lambda z_BK, places: gradient(z_BK, t_NK[places], y_N[places])

    def _teacher_logits(self) -> Tensor:
        if _TEACHER not in self._state.array_records:
            y_N = self._task.y_N[self._own]
            teacher = Network(TEACHER_SIZES, seed=self._seed("teacher"))
            self._train(
                teacher,
                lambda z_BK, places: cross_entropy_gradient(z_BK, y_N[places]),
                seed=self._seed("teacher order"),
                passes=self._case.hyperparameters.teacher_passes,
            )
            t_NK = teacher.logits(self._task.x_NI[self._own])
            self._state.array_records[_TEACHER] = ArrayRecord([t_NK.numpy()])
        return torch.from_numpy(self._state.array_records[_TEACHER].to_numpy_ndarrays()[0].copy())

    def _train(
        self,
        network: Network,
        loss_gradient: LossGradient,
        *,
        seed: int,
        passes: int,
        proximal_mu: float = 0.0,
    ) -> None:
        settings = self._case.hyperparameters
        rng = torch.Generator().manual_seed(seed)
        train(
            network,
            self._task.x_NI,
            loss_gradient,
            shuffled(self._own, batch_size=settings.batch_size, passes=passes, rng=rng),
            learning_rate=settings.learning_rate,
            momentum=settings.momentum,
            proximal_mu=proximal_mu,
        )

    def _seed(self, purpose: str, server_round: int = 0) -> int:
        return derive_seed(self._case.seed, purpose, round=server_round, partition=self._partition)


def prune_layer(array: NDArray[np.float32], amount: float) -> NDArray[np.float32]:
    """Return a weight matrix without its smallest magnitudes, ``|w| > tau``; a bias as it is.

    Exactly ``round(amount * size)`` weights go.
    """
    if array.ndim < 2:
        return array
    everything = {"layer": np.ones(array.shape, dtype=bool)}
    kept = prune_smallest({"layer": array}, everything, pruned=round(amount * array.size))
    return np.where(kept["layer"], array, np.float32(0))


def client_app(task: Task, case: Run) -> ClientApp:
    """Return the app of every client, with the wire in its mods."""

    def client_fn(context: Context) -> Client:
        return ClassifierClient(task, case, context).to_client()

    return ClientApp(client_fn, mods=[compression_mod])
