"""The loss of temperature-scaled distillation and its gradients in closed form."""

import numpy as np
import torch
from torch.nn import functional

from flwr_gan.methods.classifier_distillation import (
    cross_entropy_gradient,
    distillation_gradient,
    distillation_loss,
)


def logits(seed, count=6):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(count, 10)) * 3)


def test_the_gradient_of_the_loss_is_that_of_autograd():
    z, t, y = logits(0).requires_grad_(), logits(1), torch.arange(6)
    (expected,) = torch.autograd.grad(distillation_loss(z, t, y, alpha=0.3, temperature=2.0), z)
    own = distillation_gradient(z.detach(), t, y, alpha=0.3, temperature=2.0)
    torch.testing.assert_close(own, expected)


def test_the_gradient_of_cross_entropy_is_that_of_autograd():
    z, y = logits(0).requires_grad_(), torch.arange(6)
    (expected,) = torch.autograd.grad(functional.cross_entropy(z, y), z)
    torch.testing.assert_close(cross_entropy_gradient(z.detach(), y), expected)


def test_distillation_is_t_squared_kl_on_logits_and_cross_entropy():
    z, t, y = logits(0), logits(1), torch.arange(6)
    p, q = torch.softmax(z / 2, 1), torch.softmax(t / 2, 1)
    soft = (q * (q / p).log()).sum(1).mean()
    hard = functional.cross_entropy(z, y)
    own = distillation_loss(z, t, y, alpha=0.5, temperature=2.0)
    torch.testing.assert_close(own, 0.5 * 4 * soft + 0.5 * hard)
    same = distillation_loss(z, z, y, alpha=1.0, temperature=2.0)
    assert abs(float(same)) < 1e-9
