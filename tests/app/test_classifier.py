"""The classifier's training against PyTorch's own, and what a client prunes."""

from functools import partial

import numpy as np
import pytest
import torch
from torch.nn import functional

from flwr_gan.app.classifier.client import pruned
from flwr_gan.app.classifier.network import measure, new_network, shuffled, train
from flwr_gan.methods.classifier_distillation import (
    cross_entropy_gradient,
    distillation_gradient,
    distillation_loss,
    printed_gradient,
    printed_loss,
)


def source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("hidden", [(), (6,), (4, 3)])
@pytest.mark.parametrize("mu", [0.0, 0.7])
@pytest.mark.parametrize("taught", [False, True])
def test_training_is_that_of_autograd_and_of_torchs_sgd(hidden, mu, taught):
    own, other = (new_network((5, *hidden, 10), seed=1) for _ in range(2))
    x, y = torch.randn(20, 5, generator=source()), torch.arange(20) % 10
    t = torch.randn(20, 10, generator=source(1)) * 3
    soft = {"alpha": 0.3, "temperature": 2.0}
    batches = [*shuffled(20, batch_size=8, passes=2, rng=source())]
    assert [len(batch) for batch in batches] == [8, 8, 4] * 2
    gradient = partial(distillation_gradient, **soft)
    train(
        own, x,
        (lambda z, at: gradient(z, t[at], y[at])) if taught
        else (lambda z, at: cross_entropy_gradient(z, y[at])),
        iter(batches), learning_rate=0.1, momentum=0.9, proximal_mu=mu,
    )  # fmt: skip
    start = [weight.detach().clone() for weight in other.parameters()]
    optimiser = torch.optim.SGD(other.parameters(), lr=0.1, momentum=0.9)
    for at in batches:
        z = other(x[at])
        loss = (
            distillation_loss(z, t[at], y[at], **soft)
            if taught
            else functional.cross_entropy(z, y[at])
        )
        for weight, first in zip(other.parameters(), start, strict=True):
            loss = loss + mu / 2 * (weight - first).square().sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    for ours, theirs in zip(own.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    accuracy, loss = measure(own, x, y)
    assert accuracy == float((other(x).argmax(1) == y).double().mean())
    assert loss == pytest.approx(functional.cross_entropy(other(x), y).item(), rel=1e-5)


def test_the_gradient_of_the_printed_loss_is_that_of_autograd():
    z, t = (3 * torch.randn(6, 10, generator=source(seed)) for seed in (0, 1))
    z.requires_grad_()
    settings = {"alpha": 0.3, "temperature": 2.0}
    (expected,) = torch.autograd.grad(printed_loss(z, t, torch.arange(6), **settings), z)
    torch.testing.assert_close(
        printed_gradient(z.detach(), t, torch.arange(6), **settings), expected
    )


def test_pruning_takes_the_smallest_of_each_layer_and_leaves_biases():
    rng = np.random.default_rng(0)
    arrays = {"weight": rng.normal(size=(20, 10)), "bias": rng.normal(size=20)}
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    found = pruned(arrays, 0.2)
    assert np.array_equal(found["bias"], arrays["bias"])
    gone = found["weight"] == 0
    assert gone.sum() == 40
    assert np.abs(arrays["weight"][gone]).max() < np.abs(arrays["weight"][~gone]).min()
    assert np.array_equal(found["weight"][~gone], arrays["weight"][~gone])
