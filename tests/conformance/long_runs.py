"""Training to the end behind a lossy wire: small steps, unlike scales, and a language model."""

from functools import cache, partial

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from tests.conformance import networks
from tests.conformance.model import CLIENTS
from tests.conformance.running import Row
from tests.conformance.strategies import APIS, Api
from tests.conformance.tasks import LENGTH, Task, digits, in_parts, markov_text
from tests.conformance.torch_model import TorchModel

CODECS = ("sparse:int8", "sparse:int6", "sparse:int4")
SYMBOLS, WIDTH = 24, 96


def wide_mlp() -> nn.Module:
    """Return the network of 64, 64 and 10 units."""
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def normalised_features() -> nn.Module:
    """Return a network that normalises its eight inputs."""
    return nn.Sequential(nn.BatchNorm1d(8), nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))


@cache
def unlike_scales() -> Task:
    """Return two classes in eight features, whose scales are from 0.05 to 12."""
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 2, 256 * CLIENTS + 1000)
    features = rng.standard_normal((len(classes), 8)) + 1.2 * classes[:, None] - 0.6
    scaled = features * [0.05, 0.1, 0.3, 1, 1, 2, 6, 12]
    x, y = torch.tensor(scaled, dtype=torch.float32), torch.tensor(classes)
    return in_parts(x, y, [256] * CLIENTS)


def _windows(seed: int) -> torch.Tensor:
    symbols = markov_text(1500 * (LENGTH + 1), seed=seed, symbols=SYMBOLS)
    return torch.tensor(symbols.reshape(-1, LENGTH + 1))


@cache
def another_language() -> Task:
    """Return text of a chain that the language model does not know yet."""
    windows = _windows(2)
    return in_parts(windows[:, :-1], windows[:, 1:], [300] * CLIENTS)


def language_model() -> nn.Module:
    """Return the transformer that is fine-tuned."""
    return networks.Transformer(SYMBOLS, LENGTH, WIDTH)


@cache
def pretrained() -> dict[str, torch.Tensor]:
    """Return the state of a language model that has learnt another text; takes some seconds."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = language_model()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    draw, windows = np.random.default_rng(0), _windows(1)
    for _ in range(150):
        rows = windows[torch.tensor(draw.integers(0, len(windows), 32))]
        scores = network(rows[:, :-1])
        optimizer.zero_grad()
        cross_entropy(scores.flatten(0, -2), rows[:, 1:].flatten()).backward()
        optimizer.step()
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


small_steps = partial(
    TorchModel, wide_mlp, task=partial(digits, 5), learning_rate=0.005, steps=20, batch=16
)
unlike_features = partial(
    TorchModel, normalised_features, task=unlike_scales, learning_rate=0.05, batch=32
)
fine_tuning = partial(
    TorchModel, language_model, task=another_language, start=pretrained,
    optimizer="adamw", learning_rate=2e-5, steps=40, batch=16,
)  # fmt: skip


def long_rows(api: Api) -> list[Row]:
    """Return rows that train to the end."""
    average, in_messages = APIS[api].FedAvg, api == "messages"
    rows = [
        Row("digits, learning rate 0.005", api, average, small_steps, rounds=30, clients=5),
        Row("features of unlike scales", api, average, unlike_features, rounds=5, fast=in_messages),
    ]
    if in_messages:
        rows.append(Row("fine-tuning, AdamW at 2e-5", api, average, fine_tuning, rounds=8))
    return rows
