"""The Flower app of the classifier: a convolutional network with BatchNorm on Fashion-MNIST.

A plain app of the message API; the wire is added as a mod and a grid.
"""

# N images

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.clientapp.typing import Mod
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from numpy.typing import NDArray
from torch import Tensor, nn

from flwr_gan.data import Samples
from flwr_gan.data.mnist import load_fashion_mnist
from flwr_gan.data.partition import DirichletSplit
from flwr_gan.seeding import derive_seed

CLIENTS, ALPHA = 10, 0.5
BATCH_SIZE, LEARNING_RATE = 32, 0.1
_EVALUATED_AT_ONCE = 1000


def network(seed: int) -> nn.Sequential:
    """Return the network with the initial weights of a seed: 1,170,224, and 10 biases."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "network"))
        return nn.Sequential(
            nn.Conv2d(1, 8, 5, padding=2, bias=False),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 32, 3, padding=1, bias=False),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 7 * 7, 740, bias=False),
            nn.ReLU(),
            nn.Linear(740, 10),
        )


def initial_arrays(seed: int) -> dict[str, NDArray[Any]]:
    """Return the initial weights by name, including BatchNorm's statistics."""
    return {name: tensor.numpy() for name, tensor in network(seed).state_dict().items()}


def client_app(mods: Sequence[Mod], *, seed: int, images: int) -> ClientApp:
    """Return the clients: one epoch of gradient descent on a share of the images.

    ``mods`` are the wire; ``seed`` determines weights, split and order of the images; ``images``
    is the number of the 60,000 training images that the clients share.
    """
    app = ClientApp(mods=list(mods))

    @app.train()
    def train(message: Message, context: Context) -> Message:
        client = int(str(context.node_config["partition-id"]))
        server_round = int(str(message.content.config_records["config"]["server-round"]))
        x, y = (tensor[_split(seed, images)[client]] for tensor in _training(images))
        model = network(seed)
        model.load_state_dict(message.content.array_records["arrays"].to_torch_state_dict())
        order = torch.Generator().manual_seed(
            derive_seed(seed, "order", round=server_round, partition=client)
        )
        _train_epoch(model, x, y, order)
        content = RecordDict(
            {
                "arrays": ArrayRecord(model.state_dict()),
                "metrics": MetricRecord({"num-examples": len(y)}),
            }
        )
        return Message(content=content, reply_to=message)

    return app


def server_app(
    wrap: Callable[[Grid], Grid],
    *,
    seed: int,
    rounds: int,
    strategy: FedAvg,
    on_round: Callable[[int, float], None],
) -> ServerApp:
    """Return the server; ``wrap`` adds the wire to the grid.

    ``on_round`` is called with each round and its accuracy on the 10,000 test images.
    """
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        def evaluate(server_round: int, arrays: ArrayRecord) -> MetricRecord:
            found = accuracy(arrays, seed)
            on_round(server_round, found)
            return MetricRecord({"accuracy": found})

        strategy.start(
            wrap(grid),
            ArrayRecord(network(seed).state_dict()),
            num_rounds=rounds,
            evaluate_fn=evaluate,
        )

    return app


@torch.no_grad()
def accuracy(arrays: ArrayRecord, seed: int) -> float:
    """Return the test accuracy of a network with these weights."""
    model = network(seed)
    model.load_state_dict(arrays.to_torch_state_dict())
    model.eval()
    x, y = _tensors(_fashion_mnist()[1])
    parts = zip(torch.split(x, _EVALUATED_AT_ONCE), torch.split(y, _EVALUATED_AT_ONCE), strict=True)
    return sum(int((model(images).argmax(1) == labels).sum()) for images, labels in parts) / len(y)


def _train_epoch(model: nn.Module, x: Tensor, y: Tensor, order: torch.Generator) -> None:
    model.train()
    descent = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    for batch in torch.split(torch.randperm(len(y), generator=order), BATCH_SIZE):
        if len(batch) < 2:  # too few for BatchNorm
            continue
        descent.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(model(x[batch]), y[batch]))
        descent.step()


@lru_cache(maxsize=1)
def _fashion_mnist() -> tuple[Samples, Samples]:
    data = load_fashion_mnist()
    return data.train, data.test


@lru_cache(maxsize=2)
def _tensors(samples: Samples) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(samples.x_NTC)[:, None], torch.from_numpy(samples.y_N)


def _training(images: int) -> tuple[Tensor, Tensor]:
    """Return the first training images, which are in random order."""
    x, y = _tensors(_fashion_mnist()[0])
    return x[:images], y[:images]


@lru_cache(maxsize=1)
def _split(seed: int, images: int) -> list[Tensor]:
    samples = _fashion_mnist()[0].take(range(images))
    parts = DirichletSplit(alpha=ALPHA)(
        samples, num_clients=CLIENTS, seed=derive_seed(seed, "partition")
    )
    return [torch.from_numpy(part) for part in parts]
