"""Data of the matrix: scikit-learn's digits, and text drawn from a Markov chain."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from sklearn.datasets import load_digits

from tests.conformance.model import CLIENTS, train_examples

SYMBOLS = 12
LENGTH = 16


@dataclass(frozen=True)
class Task:
    """Inputs and targets of each client, and a test set that all share."""

    train: list[tuple[torch.Tensor, torch.Tensor]]
    test: tuple[torch.Tensor, torch.Tensor]


@cache
def digits(clients: int = CLIENTS) -> Task:
    """Return digits as vectors of 64 values from 0 to 1, with their classes."""
    images, classes = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(classes))
    x = torch.tensor(images[order] / 16, dtype=torch.float32)
    y = torch.tensor(classes[order])
    sizes = [train_examples(partition) for partition in range(CLIENTS)]
    return in_parts(x, y, sizes if clients == CLIENTS else [250] * clients)


@cache
def text() -> Task:
    """Return text of a Markov chain: windows of symbols, and the symbols that follow."""
    symbols = markov_text(900 * (LENGTH + 1), seed=0)
    windows = torch.tensor(symbols.reshape(-1, LENGTH + 1))
    return in_parts(windows[:, :-1], windows[:, 1:], [150, 200, 250])


def in_parts(x: torch.Tensor, y: torch.Tensor, sizes: Sequence[int]) -> Task:
    """Give each client the next ``sizes`` examples; what remains is the test set."""
    train, start = [], 0
    for size in sizes:
        train.append((x[start : start + size], y[start : start + size]))
        start += size
    return Task(train, (x[start:], y[start:]))


def markov_text(length: int, *, seed: int, symbols: int = SYMBOLS) -> np.ndarray:
    """Return symbols of a chain in which each is followed by few others; int64, (length,)."""
    rng = np.random.default_rng(seed)
    following = rng.dirichlet(np.full(symbols, 0.15), symbols).cumsum(axis=1)
    drawn, text = rng.random(length), np.zeros(length, np.int64)
    for place in range(1, length):
        text[place] = np.searchsorted(following[text[place - 1]], drawn[place]).clip(0, symbols - 1)
    return text
