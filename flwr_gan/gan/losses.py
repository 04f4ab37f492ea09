"""Losses: of the conditional WGAN-GP (paper 000, Eq. 1-2; Gulrajani et al., 2017), and others.

B batch, T vectors, C components. Eq. 2 is used with the signs that its text requires: see
ERRATA.md beside this file.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn.functional import softplus

CriticFunction = Callable[[Tensor, Tensor], Tensor]


def wasserstein_estimate(
    critic: CriticFunction, real_BTC: Tensor, fake_BTC: Tensor, y_B: Tensor
) -> Tensor:
    """Return E[C(x|y)] - E[C(G(z|y)|y)], which the critic maximises, as a 0-d tensor."""
    score_2B = critic(torch.cat([real_BTC, fake_BTC]), torch.cat([y_B, y_B]))
    real_B, fake_B = score_2B.chunk(2)
    return real_B.mean() - fake_B.mean()


def gradient_penalty(
    critic: CriticFunction, real_BTC: Tensor, fake_BTC: Tensor, y_B: Tensor, mix_B: Tensor
) -> Tensor:
    """Return E[(||grad C(x^|y)||_2 - 1)^2] at points x^ between real and generated samples.

    ``mix_B`` is each point's position: 0 is real, 1 generated.
    """
    mix_B11 = mix_B.view(-1, *[1] * (real_BTC.ndim - 1))
    between_BTC = torch.lerp(real_BTC, fake_BTC, mix_B11).requires_grad_()
    score_B = critic(between_BTC, y_B)
    # a score depends only on its own sample, so the gradient of the sum has each sample's gradient
    (slope_BTC,) = torch.autograd.grad(score_B.sum(), between_BTC, create_graph=True)
    norm_B: Tensor = torch.linalg.vector_norm(slope_BTC.flatten(1), dim=1)
    return (norm_B - 1).square().mean()


def hinge_loss(real_B: Tensor, fake_B: Tensor) -> Tensor:
    """Return E[max(0, 1 - C(x))] + E[max(0, 1 + C(G(z)))], the loss of SNGAN's critic, 0-d."""
    return torch.relu(1 - real_B).mean() + torch.relu(1 + fake_B).mean()


def original_loss(real_B: Tensor, fake_B: Tensor) -> Tensor:
    """Return -E[log D(x)] - E[log(1 - D(G(z)))], 0-d; scores are logits, D their sigmoid.

    Goodfellow et al. (2014), Eq. 1.
    """
    return softplus(-real_B).mean() + softplus(fake_B).mean()


def generator_loss(
    critic: CriticFunction, fake_BTC: Tensor, y_B: Tensor, *, original: bool = False
) -> Tensor:
    """Return -E[C(G(z|y)|y)], Eq. 1, as a 0-d tensor.

    With ``original`` it is -E[log D(G(z))], the generator loss of Goodfellow et al. (2014).
    """
    score_B = critic(fake_BTC, y_B)
    return (softplus(-score_B) if original else -score_B).mean()


def proximal_term(weights: Iterable[Tensor], anchors: Iterable[Tensor], mu: float) -> Tensor:
    """Return mu/2 times the squared distance to the anchors (FedProx, Li et al., 2020).

    Pruned weights are zero in ``weights`` and must be zero in ``anchors``, so they add nothing.
    """
    distances = [(w - a).square().sum() for w, a in zip(weights, anchors, strict=True)]
    return torch.stack(distances).sum() * (mu / 2)
