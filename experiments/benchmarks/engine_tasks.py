"""The Flower app that all engines run: logistic regression on MNIST, or clients that do nothing.

``lr`` is the task of the FLUTE comparison (Garcia et al. 2022): logistic regression, 1,000 clients,
10 per round, batches of 10, one local epoch, with Flower's FedAvg. ``empty`` is the same app with
clients that return one number without training. The images are memory-mapped, so that each process
of an engine reads only the images that it needs.
"""

import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from flwr.app import Context
from flwr.client import Client, NumPyClient
from flwr.clientapp import ClientApp
from flwr.common import FitRes, NDArrays, Parameters, Scalar, ndarrays_to_parameters
from flwr.server import ServerAppComponents, ServerConfig
from flwr.server.client_proxy import ClientProxy
from flwr.server.strategy import FedAvg
from flwr.serverapp import ServerApp
from numpy.typing import NDArray

from flwr_gan.data.mnist import load_mnist
from flwr_gan.engine.run_apps import run_apps
from flwr_gan.errors import DataError, TrainingError

TASKS = ("empty", "lr")
BATCH_SIZE, LEARNING_RATE, SAMPLED = 10, 0.03, 10
PIXELS, CLASSES = 784, 10
WEIGHED_EVERY = 10  # rounds


class LrClient(NumPyClient):
    """Train logistic regression on one share of the images for an epoch."""

    def __init__(self, images: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        self._x, self._y = images, labels

    def fit(self, parameters: NDArrays, config: object) -> tuple[NDArrays, int, dict[str, Scalar]]:
        """Take one step of gradient descent per batch; also return the start time."""
        began = time.time()
        weight, bias = (array.copy() for array in parameters)
        for start in range(0, len(self._y), BATCH_SIZE):
            x, y = self._x[start : start + BATCH_SIZE], self._y[start : start + BATCH_SIZE]
            score = x @ weight + bias
            score = np.exp(score - score.max(axis=1, keepdims=True))
            slope = score / score.sum(axis=1, keepdims=True)
            slope[np.arange(len(y)), y] -= 1
            weight -= LEARNING_RATE / len(y) * (x.T @ slope)
            bias -= LEARNING_RATE / len(y) * slope.sum(axis=0)
        return [weight, bias], len(self._y), {"began": began}


class EmptyClient(NumPyClient):
    """Send the parameters back."""

    def fit(self, parameters: NDArrays, config: object) -> tuple[NDArrays, int, dict[str, Scalar]]:
        """Return the received parameters and the time."""
        return parameters, 1, {"began": time.time()}


class RoundMeter:
    """Records when rounds end, and every ten rounds the memory and processor seconds."""

    def __init__(self) -> None:
        self.ended: list[float] = []  # without the time of these measurements
        self.resident_mb: list[float] = []
        self.cpu_s: list[float] = []  # of this process and its children, without these measurements
        self._weighing_s = self._weighing_cpu_s = 0.0

    def note(self) -> None:
        """Record the end of a round."""
        now, cpu = time.perf_counter(), time.process_time()
        self.ended.append(now - self._weighing_s)
        if len(self.ended) % WEIGHED_EVERY == 0:
            children_cpu_s, memory_mb = usage()
            self.cpu_s.append(cpu + children_cpu_s - self._weighing_cpu_s)
            self.resident_mb.append(memory_mb)
            self._weighing_s += time.perf_counter() - now
            self._weighing_cpu_s += time.process_time() - cpu

    def row(self) -> dict[str, float]:
        """Return the speeds from the second and from the tenth round on, and the memory."""
        rounds = len(self.ended)
        weighed = (len(self.cpu_s) - 1) * WEIGHED_EVERY
        return {
            "updates_per_s": (rounds - 1) * SAMPLED / (self.ended[-1] - self.ended[0]),
            "updates_per_cpu_s": weighed * SAMPLED / (self.cpu_s[-1] - self.cpu_s[0]),
            "memory_mb": self.resident_mb[-1],
            "growth_mb": self.resident_mb[-1] - self.resident_mb[0],
        }


class TimedFedAvg(FedAvg):
    """FedAvg with a meter, which also records when the first client began."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.began = float("nan")
        self.failed = 0
        self.meter = RoundMeter()

    def aggregate_fit(
        self,
        server_round: int,
        results: list[tuple[ClientProxy, FitRes]],
        failures: list[Any],
    ) -> tuple[Parameters | None, dict[str, Scalar]]:
        """Aggregate, and record the end of the round."""
        if server_round == 1 and results:
            self.began = min(float(result.metrics["began"]) for _, result in results)
        aggregated = super().aggregate_fit(server_round, results, failures)
        self.failed += len(failures)
        self.meter.note()
        return aggregated


def client_fn(context: Context) -> Client:
    """Return the client of a node; the run config names the task."""
    if context.run_config["task"] == "empty":
        return EmptyClient().to_client()
    images, labels = mapped(str(context.run_config["data"]))
    partition = int(str(context.node_config["partition-id"]))
    clients = int(str(context.node_config["num-partitions"]))
    return LrClient(images[partition::clients], labels[partition::clients]).to_client()


def write_images(folder: Path, *, short: bool) -> str:
    """Write the clients' training images to a folder; return their kind.

    The kind is ``mnist`` if the data set is found, or else ``noise`` of the same shape: the cost of
    an engine is the same on both.
    """
    try:
        train = load_mnist(download=False).train
        images, labels, name = train.x_NTC.reshape(len(train), PIXELS), train.y_N, "mnist"
    except DataError:
        rng = np.random.default_rng(0)
        images = rng.random((60_000, PIXELS), np.float32)
        labels, name = rng.integers(CLASSES, size=60_000), "noise"
    if short:
        images, labels = images[:10_000], labels[:10_000]
    np.save(folder / "images.npy", images)
    np.save(folder / "labels.npy", labels)
    return name


def measure(engine: str, task: str, *, clients: int, rounds: int, data: Path) -> dict[str, object]:
    """Run one task on one engine in this process; return its row."""
    shapes = [(1,)] if task == "empty" else [(PIXELS, CLASSES), (CLASSES,)]
    strategy = TimedFedAvg(
        fraction_fit=SAMPLED / clients,
        fraction_evaluate=0.0,
        min_fit_clients=SAMPLED,
        min_available_clients=clients,
        initial_parameters=ndarrays_to_parameters([np.zeros(s, np.float32) for s in shapes]),
    )

    def server_fn(context: Context) -> ServerAppComponents:
        return ServerAppComponents(strategy=strategy, config=ServerConfig(num_rounds=rounds))

    started = time.time()
    run_apps(
        ServerApp(server_fn=server_fn),
        ClientApp(client_fn),
        num_supernodes=clients,
        run_config={"task": task, "data": str(data)},
        backend=engine,
    )
    if strategy.failed or len(strategy.meter.ended) < rounds:
        raise TrainingError(f"{task} on {engine}: {strategy.failed} updates failed; see above")
    return {
        "engine": engine,
        "task": task,
        "clients": clients,
        "rounds": rounds,
        "first_message_s": strategy.began - started,
        **strategy.meter.row(),
    }


def usage() -> tuple[float, float]:
    """Return the processor seconds of the children of this process, and the memory of all, in MB.

    The memory is the part that is shared with no other process.
    """
    cpu_s, memory = 0.0, 0
    me = psutil.Process()
    for process in [me, *me.children(recursive=True)]:
        try:
            times, own = process.cpu_times(), process.memory_full_info().uss
        except psutil.Error:  # it has ended
            continue
        memory += own
        cpu_s += times.user + times.system if process != me else 0.0
    return cpu_s, memory / 2**20


@lru_cache(maxsize=1)
def mapped(folder: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the images and labels of ``write_images``, memory-mapped from their files."""
    images = np.load(Path(folder) / "images.npy", mmap_mode="r")
    return images, np.load(Path(folder) / "labels.npy", mmap_mode="r")
