"""PyTorch networks of the matrix, each with something that a wire can get wrong."""

# B batch, T symbols, D width, K classes

import math

import torch
from torch import nn

from tests.conformance.tasks import LENGTH, SYMBOLS


def mlp() -> nn.Module:
    """Return a network of two layers."""
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def mlp_with_batchnorm() -> nn.Module:
    """Return a network with running statistics and a 0-d counter of integers."""
    return nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10))


def cnn_with_batchnorm() -> nn.Module:
    """Return a convolutional network with two batch normalisations."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


class Transformer(nn.Module):
    """One causal block that predicts the next symbol.

    Its state has a mask with -inf as a buffer, two layer normalisations, and one matrix under two
    names: the head is tied to the embedding.
    """

    def __init__(self, symbols: int = SYMBOLS, length: int = LENGTH, width: int = 16) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, width)
        self.positions = nn.Parameter(torch.zeros(length, width))
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.Linear(width, 3 * width)
        self.mixed = nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.head = nn.Linear(width, symbols, bias=False)
        self.register_buffer("mask", torch.full((length, length), -math.inf).triu(1))
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.head.weight = self.embedding.weight

    def forward(self, text_BT: torch.Tensor) -> torch.Tensor:
        """Return a score of each symbol for each next place, (B, T, K)."""
        h_BTD = self.embedding(text_BT) + self.positions
        query, key, value = self.attention(self.norm1(h_BTD)).chunk(3, dim=-1)
        weight_BTT = query @ key.transpose(1, 2) / math.sqrt(key.shape[-1]) + self.mask
        h_BTD = h_BTD + self.mixed(weight_BTT.softmax(-1) @ value)
        h_BTD = h_BTD + self.feed(self.norm2(h_BTD))
        return self.head(h_BTD)
