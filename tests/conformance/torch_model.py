"""A PyTorch network as a model of the matrix, carried in any type of float."""

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from flwr.app import RecordDict
from torch import nn
from torch.nn.functional import cross_entropy

from tests.conformance.model import Arrays, Config, Model, Score, Trained
from tests.conformance.tasks import Task, digits


class TorchModel(Model):
    """Train a network in float32, and carry its state in ``dtype``.

    Parameters
    ----------
    make : callable
        Makes the network; its weights are drawn from torch's global generator.
    task : callable
        Returns the data.
    optimizer : {"sgd", "adam", "adamw"}
        What trains; its state is new in each round.
    learning_rate : float
        Of the optimizer.
    steps, batch : int
        Steps of a client in a round, and examples in each.
    dtype : str
        Type of the floats that travel: float32, float16, float64 or bfloat16.
    travels : str
        Only arrays whose names contain this travel.
    """

    def __init__(
        self,
        make: Callable[[], nn.Module],
        *,
        task: Callable[[], Task] = digits,
        optimizer: str = "sgd",
        learning_rate: float = 0.2,
        steps: int = 20,
        batch: int = 50,
        dtype: str = "float32",
        travels: str = "",
        start: Callable[[], Mapping[str, torch.Tensor]] | None = None,
    ) -> None:
        self._make, self._task, self._dtype, self._travels = make, task, dtype, travels
        self._optimizer, self._learning_rate = optimizer, learning_rate
        self._steps, self._batch, self._start = steps, batch, start

    def initial(self) -> Arrays:
        """Return the network's state after its initialization."""
        return self._carried(self._network())

    def train(
        self, arrays: Arrays, *, partition: int, config: Config, state: RecordDict
    ) -> Trained:
        """Train for some steps; batches depend on the client and the round alone."""
        network = self._network(arrays)
        x, y = self._task().train[partition]
        draw = np.random.default_rng([partition, int(config.get("server-round", 0))])
        pull = float(config.get("proximal-mu", config.get("proximal_mu", 0)))
        losses = list(self._train_steps(network, x, y, draw, pull))
        return Trained(self._carried(network), float(np.mean(losses)), len(y))

    def _train_steps(self, network: nn.Module, x: Any, y: Any, draw: Any, pull: float) -> Any:
        network.train()
        weights = [w for w in network.parameters() if w.requires_grad]
        received = [w.detach().clone() for w in weights]
        kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
        optimizer = kinds[self._optimizer](weights, lr=self._learning_rate)
        for _ in range(self._steps):
            rows = torch.tensor(draw.integers(0, len(y), self._batch))
            loss = _loss(network(x[rows]), y[rows])
            near = sum(((w - v) ** 2).sum() for w, v in zip(weights, received, strict=True))
            optimizer.zero_grad()
            (loss + pull / 2 * near if pull else loss).backward()
            optimizer.step()
            yield loss.item()

    def evaluate(self, arrays: Arrays, *, partition: int, state: RecordDict) -> Score:
        """Return loss and accuracy on the test set."""
        network, (x, y) = self._network(arrays).eval(), self._task().test
        with torch.no_grad():
            scores = network(x)
        accuracy = (scores.argmax(-1) == y).float().mean().item()
        return Score(_loss(scores, y).item(), accuracy, len(y))

    def _network(self, arrays: Arrays | None = None) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = self._make()
        if self._start is not None:
            network.load_state_dict(self._start())
        if arrays is not None:
            names = [name for name in network.state_dict() if self._travels in name]
            state = dict(zip(names, map(from_numpy, arrays.values()), strict=True))
            network.load_state_dict(network.state_dict() | state)
        return network

    def _carried(self, network: nn.Module) -> Arrays:
        state = network.state_dict().items()
        return {k: to_numpy(v, self._dtype) for k, v in state if self._travels in k}


def _loss(scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return cross_entropy(scores.flatten(0, -2), targets.flatten())


def to_numpy(tensor: torch.Tensor, dtype: str) -> np.ndarray[Any, Any]:
    """Return a copy as an array, floats in ``dtype``."""
    if not tensor.is_floating_point():
        return tensor.detach().numpy().copy()
    if dtype == "bfloat16":
        import ml_dtypes

        bits = tensor.detach().to(torch.bfloat16).view(torch.int16).numpy()
        return bits.copy().view(ml_dtypes.bfloat16)
    return tensor.detach().numpy().astype(dtype)


def from_numpy(array: np.ndarray[Any, Any]) -> torch.Tensor:
    """Return a copy as a tensor; two-byte values of no type are bfloat16, as they arrive."""
    array = np.array(array)
    if array.dtype.name == "bfloat16" or array.dtype == np.dtype("V2"):
        return torch.tensor(array.view(np.int16)).view(torch.bfloat16)
    return torch.tensor(array)


@contextmanager
def one_thread() -> Any:
    """Let torch compute on one thread for a while, so that sums are added in one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
