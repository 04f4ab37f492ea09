"""One case from start to end: plain Flower clients and FedAvg or FedProx on the compressed wire."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from flwr.app import ArrayRecord, Context
from flwr.client import Client, NumPyClient
from flwr.clientapp import ClientApp
from flwr.common import Config, NDArrays, Scalar, ndarrays_to_parameters
from flwr.server import ServerAppComponents, ServerConfig
from flwr.server.strategy import FedAvg, FedProx
from flwr.serverapp import ServerApp
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
from experiments.papers.fl_compression_comparison.task import Task, held_classes
from flwr_gan.engine.run_apps import run_apps
from flwr_gan.errors import TrainingError
from flwr_gan.flower import CompressedStrategy, compression_mod
from flwr_gan.methods.classifier_distillation import (
    cross_entropy_gradient,
    distillation_gradient,
)
from flwr_gan.prune.magnitude import prune_smallest
from flwr_gan.seeding import derive_seed
from flwr_gan.wire import Template, decode_payload, encode_payload
from flwr_gan.wire.codecs import get_codec

if TYPE_CHECKING:
    from experiments.papers.fl_compression_comparison.cases import Case

_TEACHER = "teacher"


class ClassifierClient(NumPyClient):
    """Trains the network that comes in for one pass over its own samples, and prunes it.

    With distillation the client trains a teacher, SimpleNN, on its own samples before the first
    round. The teacher never travels; its logits for the client's samples stay in the context.
    """

    def __init__(self, task: Task, case: "Case", context: Context) -> None:
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
    """Return a matrix without its ``round(amount * size)`` smallest weights; a bias as it is."""
    if array.ndim < 2:
        return array
    everything = {"layer": np.ones(array.shape, dtype=bool)}
    kept = prune_smallest({"layer": array}, everything, pruned=round(amount * array.size))
    return np.where(kept["layer"], array, np.float32(0))


def client_app(task: Task, case: "Case") -> ClientApp:
    """Return the app of every client, with the wire in its mods."""

    def client_fn(context: Context) -> Client:
        return ClassifierClient(task, case, context).to_client()

    return ClientApp(client_fn, mods=[compression_mod])


@dataclass(frozen=True)
class Outcome:
    """What a case leaves."""

    # a row a round, 0 for the initial model: accuracy and mean cross entropy on training and test
    # samples, seconds of clients
    rounds: pd.DataFrame
    # the ledger, measured bytes of every message; where weights travel raw, once more as coded by
    # ``sparse``, for comparison
    messages: pd.DataFrame
    summary: dict[str, Any]  # final measures on all training samples that are used, and totals
    network: Network  # the global model as it would be broadcast next
    upload: Mapping[str, NDArray[Any]]  # what the first client sent in the last round, decoded


class Scorer:
    """Measures the global model after every round, and keeps the clients' seconds."""

    def __init__(self, task: Task, case: "Case") -> None:
        self._task, self._codec = task, case.method.codec
        sizes = STUDENT_SIZES if case.method.small else TEACHER_SIZES
        self.network = Network(sizes, seed=derive_seed(case.seed, "initial weights"))
        self._probe = task.x_NI[task.probe], task.y_N[task.probe]
        self._clients: list[dict[str, Scalar]] = []
        self.rows: list[dict[str, float]] = []

    def clients(self, results: list[tuple[int, dict[str, Scalar]]]) -> dict[str, Scalar]:
        """Keep what clients say of themselves; FedAvg's ``fit_metrics_aggregation_fn``."""
        self._clients = [metrics for _, metrics in results]
        return {}

    def evaluate(
        self, server_round: int, weights: NDArrays, config: dict[str, Scalar]
    ) -> tuple[float, dict[str, Scalar]]:
        """Measure the model as clients would receive it; FedAvg's ``evaluate_fn``."""
        self.network.load(as_received(weights, self._codec))
        accuracy, loss = self.network.measure(self._task.test_x_NI, self._task.test_y_N)
        train_accuracy, train_loss = self.network.measure(*self._probe)
        seconds = [float(metrics["compute_s"]) for metrics in self._clients]
        teacher = [float(metrics["teacher_s"]) for metrics in self._clients]
        self.rows.append(
            {
                "round": server_round,
                "test_accuracy": accuracy,
                "test_loss": loss,
                "train_accuracy": train_accuracy,
                "train_loss": train_loss,
                "compute_s": max(seconds, default=0.0),
                "teacher_s": max(teacher, default=0.0),
            }
        )
        return loss, {"accuracy": accuracy}


def run_case(task: Task, case: "Case") -> Outcome:
    """Train, aggregate and measure for all rounds."""
    started = time.perf_counter()
    scorer = Scorer(task, case)
    strategy = build_strategy(case, scorer)
    rounds = case.hyperparameters.num_rounds

    def server_fn(context: Context) -> ServerAppComponents:
        return ServerAppComponents(strategy=strategy, config=ServerConfig(num_rounds=rounds))

    run_apps(
        ServerApp(server_fn=server_fn),
        client_app(task, case),
        num_supernodes=case.hyperparameters.num_models,
        run_config={},
    )
    for server_round, reasons in strategy.failures.items():
        for reason in reasons:
            raise TrainingError(f"round {server_round}: a client failed: {reason}")
    used = task.used
    train_accuracy, train_loss = scorer.network.measure(task.x_NI[used], task.y_N[used])
    last = scorer.rows[-1]
    upload = strategy.latest[0].arrays()
    summary = {
        "parameters": scorer.network.flat.numel(),
        "test_accuracy": last["test_accuracy"],
        "test_loss": last["test_loss"],
        "train_accuracy": train_accuracy,
        "train_loss": train_loss,
        "uploaded_nonzero": sum(int((a != 0).sum()) for a in upload.values()),
        "wall_s": time.perf_counter() - started,
        "held": held_classes(task),
    }
    ledgers = [strategy.ledger, *strategy.comparison.ledgers.values()]
    messages = pd.concat([ledger.to_frame() for ledger in ledgers], ignore_index=True)
    return Outcome(pd.DataFrame(scorer.rows), messages, summary, scorer.network, upload)


def build_strategy(case: "Case", scorer: Scorer) -> CompressedStrategy:
    """Return Flower's strategy with all clients in every round, wrapped for the wire."""
    settings = case.hyperparameters
    shared: dict[str, Any] = {
        "fraction_fit": 1.0,
        "fraction_evaluate": 0.0,
        "min_fit_clients": settings.num_models,
        "min_available_clients": settings.num_models,
        "accept_failures": False,
        "initial_parameters": ndarrays_to_parameters(scorer.network.arrays),
        "evaluate_fn": scorer.evaluate,
        "on_fit_config_fn": lambda server_round: {"round": server_round},
        "fit_metrics_aggregation_fn": scorer.clients,
    }
    prox = case.algorithm == "fedprox"
    inner = FedProx(**shared, proximal_mu=settings.proximal_mu) if prox else FedAvg(**shared)
    codec = case.method.codec
    also = ("sparse",) if codec == "raw" else ()
    return CompressedStrategy(inner, codec=codec, seed=case.seed, also_codecs=also)


def as_received(weights: NDArrays, codec: str) -> NDArrays:
    """Return weights as they come out of a payload; untouched under a lossless codec."""
    if get_codec(codec).lossless:
        return weights
    arrays = {str(i): weight for i, weight in enumerate(weights)}
    payload = encode_payload(arrays, codec=codec, self_contained=False)
    return list(decode_payload(payload, template=Template.of(arrays)).values())
