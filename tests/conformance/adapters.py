"""Adapters of low rank (LoRA) on a trained network, which learns digits that are turned."""

import math
from functools import cache

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from tests.conformance.model import CLIENTS
from tests.conformance.tasks import Task, digits, in_parts


class LowRankLayer(nn.Module):
    """A frozen layer and a change of low rank to it (LoRA)."""

    def __init__(self, inputs: int, outputs: int, rank: int = 4) -> None:
        super().__init__()
        self.frozen = nn.Linear(inputs, outputs).requires_grad_(False)
        self.lora_a = nn.Parameter(torch.randn(rank, inputs) / math.sqrt(inputs))
        self.lora_b = nn.Parameter(torch.zeros(outputs, rank))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the frozen layer's output and that of the change."""
        return self.frozen(x) + x @ self.lora_a.T @ self.lora_b.T


def mlp_with_adapters() -> nn.Module:
    """Return a frozen network of two layers with adapters; only the adapters travel."""
    return nn.Sequential(LowRankLayer(64, 64), nn.ReLU(), LowRankLayer(64, 10))


@cache
def turned_digits() -> Task:
    """Return digits that lie on their side."""
    x, y = digits().test
    turned = x.reshape(-1, 8, 8).transpose(1, 2).flatten(1)
    return in_parts(turned, y, [150] * CLIENTS)


@cache
def trained_base() -> dict[str, torch.Tensor]:
    """Return the state of a network that knows digits that stand upright."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = mlp_with_adapters()
    layers = [network[0].frozen, network[2].frozen]
    optimizer = torch.optim.Adam(
        [p.requires_grad_() for layer in layers for p in layer.parameters()]
    )
    x, y = (torch.cat(parts) for parts in zip(*digits().train, strict=True))
    for _ in range(100):
        optimizer.zero_grad()
        cross_entropy(network(x), y).backward()
        optimizer.step()
    return {name: value.detach().clone() for name, value in network.state_dict().items()}
