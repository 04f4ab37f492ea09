"""Cost and quality of codecs for updates with few clients per round.

``python -m experiments.benchmarks.participation [--short] [--output FILE]`` trains a network of
50,890 weights on MNIST: twenty clients with uneven classes (Dirichlet, 1), one epoch of gradient
descent each, with FedAvg. All clients or 10 % are sampled in a round; with 10 %, a client returns
after ten rounds on average, and there are more rounds. It writes one row per codec and share.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from typing import Any

import pandas as pd
import torch
from flwr.app import Context
from flwr.client import NumPyClient
from flwr.clientapp import ClientApp
from flwr.common import NDArrays, Scalar, ndarrays_to_parameters
from flwr.server import ServerAppComponents, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.serverapp import ServerApp
from torch import Tensor, nn

from experiments.benchmarks.output import run_benchmark
from flwr_gan.data import Samples
from flwr_gan.data.mnist import load_mnist
from flwr_gan.data.partition import DirichletSplit
from flwr_gan.engine.run_apps import run_apps
from flwr_gan.flower import CompressedStrategy, compression_mod
from flwr_gan.gan import torch_threads
from flwr_gan.seeding import derive_seed

ALPHA, BATCH_SIZE, LEARNING_RATE = 1.0, 25, 0.1
ROUNDS = {1.0: 5, 0.1: 24}  # by the share of the sampled clients
LAST = 3  # number of last rounds whose accuracies are averaged
SEED = 0


@dataclass(frozen=True)
class Way:
    """The codecs of updates."""

    codec_up: str
    codec_down: str
    feedback: bool | str = True


WAYS = (
    Way("sparse", "sparse"),
    Way("sparse:int6", "sparse:int6"),
    Way("topk:0.05+int4", "topk:0.05+int4"),
    Way("topk:0.05+int4", "topk:0.05+int4", feedback="ef21"),
    Way("topk:0.05+int4", "topk:0.01+int4"),
    Way("topk:0.05+int4", "sparse:int4"),
    Way("randk:0.1+int4", "randk:0.1+int4"),
    Way("eden:2", "eden:2", feedback=False),
    Way("eden:2", "sparse:int4", feedback=False),
    Way("powersgd:4+fp16", "powersgd:4+fp16"),
)


@dataclass(frozen=True)
class Size:
    """The amount of training."""

    clients: int = 20
    images: int = 6_000


class Client(NumPyClient):
    """Trains the network on one share of the images for an epoch."""

    def __init__(self, context: Context, size: Size) -> None:
        self._partition = int(str(context.node_config["partition-id"]))
        self._size = size

    def fit(
        self, parameters: NDArrays, config: dict[str, Scalar]
    ) -> tuple[NDArrays, int, dict[str, Scalar]]:
        """Take one step of gradient descent per batch."""
        x, y = _shares(self._size)[self._partition]
        model = _network(parameters)
        descent = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
        batches = zip(torch.split(x, BATCH_SIZE), torch.split(y, BATCH_SIZE), strict=True)
        for images, labels in batches:
            descent.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(model(images), labels))
            descent.step()
        return _weights(model), len(y), {}


def run(way: Way, size: Size, *, share: float, rounds: int) -> dict[str, Any]:
    """Train with a codec and a share of the clients in each round; return a row.

    Bytes are means over messages. The first broadcast to each client is left out, because there is
    no base to code it relative to.
    """
    accuracies: list[float] = []

    def evaluate(
        server_round: int, weights: NDArrays, config: dict[str, Scalar]
    ) -> tuple[float, dict[str, Scalar]]:
        x, y = _tensors(_mnist()[1])
        with torch.no_grad():
            right = _network(weights)(x).argmax(1) == y
        accuracies.append(float(right.float().mean()))
        return accuracies[-1], {}

    strategy = CompressedStrategy(
        FedAvg(
            fraction_fit=share,
            fraction_evaluate=0.0,
            min_fit_clients=1,
            min_available_clients=size.clients,
            initial_parameters=ndarrays_to_parameters(_weights(_network(None))),
            evaluate_fn=evaluate,
        ),
        **asdict(way),
        seed=SEED,
    )
    run_apps(
        ServerApp(
            server_fn=lambda context: ServerAppComponents(
                strategy=strategy, config=ServerConfig(num_rounds=rounds)
            )
        ),
        ClientApp(lambda context: Client(context, size).to_client(), mods=[compression_mod]),
        num_supernodes=size.clients,
        run_config={},
    )
    rows = strategy.ledger.to_frame()
    down, up = (rows[rows["direction"] == direction] for direction in ("down", "up"))
    gaps = down.groupby("client")["round"].diff()
    later = down[gaps.notna()]
    return asdict(way) | {
        "participation": share,
        "rounds": rounds,
        "rounds_between": gaps.mean(),
        "accuracy": sum(accuracies[-LAST:]) / LAST,
        "up_payload_bytes": up["payload_bytes"].mean(),
        "down_payload_bytes": later["payload_bytes"].mean(),
        "up_message_bytes": up["message_bytes"].mean(),
        "down_message_bytes": later["message_bytes"].mean(),
        "all_message_bytes": rows["message_bytes"].sum(),
        "replies": len(up),
    }


def measure_all(options: argparse.Namespace) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the table of all codecs and shares."""
    size = Size(clients=8, images=400) if options.short else Size()
    rows = []
    with torch_threads(1):
        for share, rounds in ({0.5: 6} if options.short else ROUNDS).items():
            for way in WAYS:
                rows.append(run(way, size, share=share, rounds=rounds))
                print(way.codec_up, way.codec_down, share, rows[-1]["accuracy"], flush=True)
    yield "", pd.DataFrame(rows)


def _network(weights: NDArrays | None) -> nn.Sequential:
    """Return the network with the given weights, or with initial ones."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(SEED, "network"))
        model = nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))
    if weights is not None:
        with torch.no_grad():
            for parameter, array in zip(model.parameters(), weights, strict=True):
                parameter.copy_(torch.from_numpy(array))
    return model


def _weights(model: nn.Module) -> NDArrays:
    return [parameter.detach().numpy() for parameter in model.parameters()]


@lru_cache(maxsize=1)
def _mnist() -> tuple[Samples, Samples]:
    data = load_mnist()
    return data.train, data.test


@lru_cache(maxsize=1)
def _shares(size: Size) -> list[tuple[Tensor, Tensor]]:
    """Return the images and labels of each client."""
    train = _mnist()[0]
    chosen = Samples(train.x_NTC[: size.images], train.y_N[: size.images])
    x, y = _tensors(chosen)
    split = DirichletSplit(alpha=ALPHA)(chosen, num_clients=size.clients, seed=SEED)
    return [(x[indices], y[indices]) for indices in split]


def _tensors(samples: Samples) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(samples.x_NTC).flatten(1), torch.from_numpy(samples.y_N)


main = partial(run_benchmark, "participation", __doc__, measure_all, short="few clients and rounds")

if __name__ == "__main__":
    sys.exit(main())
