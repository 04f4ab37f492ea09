"""The model and its data: logistic regression on two Gaussian clouds."""

import numpy as np
import torch
from torch import nn


def make_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))


def load_data(partition: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(partition)
    y = rng.integers(0, 2, 64)
    x = rng.standard_normal((64, 8)) + 2 * y[:, None] - 1
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y)


def get_weights(model: nn.Module) -> list[np.ndarray]:
    return [value.numpy().copy() for value in model.state_dict().values()]


def set_weights(model: nn.Module, weights: list[np.ndarray]) -> None:
    names = model.state_dict()
    model.load_state_dict(dict(zip(names, map(torch.tensor, weights), strict=True)))


def train(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(5):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()


def test_loss(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> tuple[float, float]:
    with torch.no_grad():
        score = model(x)
        return float(nn.functional.cross_entropy(score, y)), float(
            (score.argmax(1) == y).float().mean()
        )
