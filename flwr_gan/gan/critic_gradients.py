"""Loss and gradients of a critic step (paper 000, Eq. 2), by autograd or in closed form.

B batch, T vectors, C components, D = T * C, K classes, H1 and H2 hidden units.

The critic is piecewise linear: almost everywhere the second derivative of its activation is zero,
so the gradient of the penalty needs no second backpropagation through the activations. This leaves
nine products with the matrix of the second layer; autograd takes more products and several hundred
small steps. Leading axes (``...``) are critics of one shape, each with its batch.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from flwr_gan.gan.batches import Batch
from flwr_gan.gan.config import GanConfig
from flwr_gan.gan.losses import gradient_penalty, hinge_loss, original_loss, wasserstein_estimate
from flwr_gan.gan.networks import NEGATIVE_SLOPE, Critic

_SMALLEST_NORM = 1e-12
_PARAMETERS = ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias", "fc3.weight", "fc3.bias"]

SCORE_LOSSES = {"hinge": hinge_loss, "original": original_loss}

CriticGradients = Callable[[nn.Module, Batch, float], tuple[Tensor, list[Tensor]]]


def autograd_gradients(
    critic: nn.Module, batch: Batch, penalty: float
) -> tuple[Tensor, list[Tensor]]:
    """Return loss, Wasserstein estimate and penalty, shape (3,), and one gradient per parameter.

    Works for any critic; ``closed_form_gradients`` is the fast path of the multilayer perceptron.
    """
    real_BTC, fake_BTC, y_B, mix_B = batch
    estimate = wasserstein_estimate(critic, real_BTC, fake_BTC, y_B)
    slope_penalty = gradient_penalty(critic, real_BTC, fake_BTC, y_B, mix_B)
    loss = penalty * slope_penalty - estimate
    measures = torch.stack([loss.detach(), estimate.detach(), slope_penalty.detach()])
    return measures, gradients_of(loss, critic)


def score_gradients(
    critic: nn.Module,
    batch: Batch,
    penalty: float,
    *,
    loss_of: Callable[[Tensor, Tensor], Tensor],
) -> tuple[Tensor, list[Tensor]]:
    """Return the result of ``autograd_gradients`` for a loss of only real and generated scores.

    ``penalty`` is not used, and 0 is returned instead of the gradient penalty.
    """
    real_BTC, fake_BTC, y_B, _ = batch
    score_2B = critic(torch.cat([real_BTC, fake_BTC]), torch.cat([y_B, y_B]))
    real_B, fake_B = score_2B.chunk(2)
    loss = loss_of(real_B, fake_B)
    estimate = (real_B.mean() - fake_B.mean()).detach()
    measures = torch.stack([loss.detach(), estimate, torch.zeros_like(estimate)])
    return measures, gradients_of(loss, critic)


def gradients_for(config: GanConfig) -> CriticGradients:
    """Return the function for a critic's gradients with some settings."""
    if config.loss in SCORE_LOSSES:
        return partial(score_gradients, loss_of=SCORE_LOSSES[config.loss])
    closed_form = config.critic_gradients == "closed_form"
    return closed_form_gradients if closed_form else autograd_gradients


def gradients_of(loss: Tensor, network: nn.Module) -> list[Tensor]:
    """Return one gradient per parameter, zeros if the loss does not depend on it."""
    parameters = list(network.parameters())
    return list(torch.autograd.grad(loss, parameters, materialize_grads=True))


def has_closed_form(critic: nn.Module) -> bool:
    """Return whether the closed form is valid: masks or norms on the weights change it."""
    names = [name for name, _ in critic.named_parameters()]
    return type(critic) is Critic and names == _PARAMETERS


def closed_form_gradients(
    critic: nn.Module, batch: Batch, penalty: float
) -> tuple[Tensor, list[Tensor]]:
    """Return the result of ``autograd_gradients`` in closed form, equal up to rounding.

    The critic must have one, see ``has_closed_form``.
    """
    real_BTC, fake_BTC, y_B, mix_B = batch
    label_BK = critic.get_buffer("onehot_KK").index_select(0, y_B)
    weights = list(critic.parameters())
    return stacked_gradients(
        weights, real_BTC.flatten(1), fake_BTC.flatten(1), label_BK, mix_B, penalty
    )


@torch.no_grad()
def stacked_gradients(
    weights: Sequence[Tensor],
    real_BD: Tensor,
    fake_BD: Tensor,
    label_BK: Tensor,
    mix_B: Tensor,
    penalty: float,
) -> tuple[Tensor, list[Tensor]]:
    """Return loss, estimate and penalty, shape (..., 3), and gradients, for any leading axes.

    Real samples, generated ones and the points between them pass through the layers together, as 3B
    rows; the first layer is linear, so its values at the points between are interpolated.
    With s_1, s_2 the slopes of the activations, the slope of the score is g_x = W_1^T (s_1 * W_2^T
    (s_2 * w_3)); the penalty depends on the weights only through these three products, so its
    gradients are outer products of the slopes with their cotangents u, v_1, v_2, which run forward
    through the layers as a sample would. Scores are linear in w_3, and an activation is its slope
    times what goes in, so that M = s_2^T h_1 gives the gradients of both layers: w_3 * M is that of
    W_2, and the row sums of W_2 * M, with the biases' share, w_3's. ``weights`` are the six
    parameters of ``Critic``, ``label_BK`` one-hot labels, and ``mix_B`` says where between real and
    generated each point lies; all are stacked along the leading axes.
    """
    w1, b1, w2, b2, w3, b3 = weights
    B, D = real_BD.shape[-2:]
    known, between = slice(2 * B), slice(2 * B, None)
    label_B1K = torch.cat([label_BK, torch.ones_like(label_BK[..., :1])], -1)  # 1 for the bias
    x = torch.cat(
        [
            torch.cat([real_BD, fake_BD, fake_BD], -2),
            torch.cat([label_B1K, label_B1K, torch.zeros_like(label_B1K)], -2),
        ],
        -1,
    )
    h1 = x.new_empty(*x.shape[:-1], w2.shape[-1])
    torch.matmul(x[..., known, :], torch.cat([w1, b1.unsqueeze(-1)], -1).mT, out=h1[..., known, :])
    real_BH, fake_BH, between_BH = h1.chunk(3, -2)
    torch.lerp(real_BH, fake_BH, mix_B.unsqueeze(-1), out=between_BH)
    functional.leaky_relu_(h1, NEGATIVE_SLOPE)
    h2 = functional.leaky_relu_(_add_product(b2.unsqueeze(-2), h1, w2), NEGATIVE_SLOPE)
    seed = _seeds(B, h2.dtype, h2.device)
    estimate = -((seed[known].T @ h2[..., known, :]) * w3).sum((-2, -1))

    s2 = _through(seed.expand_as(h2), h2, out=h2)
    g1 = s2 @ (w3.mT * w2)
    g1 = _through(g1, h1, out=g1)
    w1_x = w1[..., :D]
    slope_BD = g1[..., between, :] @ w1_x
    norm_B1 = torch.linalg.vector_norm(slope_BD, dim=-1, keepdim=True)
    slope_penalty = (norm_B1 - 1).square().mean((-2, -1))

    # in the rows of the points between, the cotangents replace the samples
    to_norm_B1 = (norm_B1 - 1) * (2 * penalty / B) / norm_B1.clamp_min(_SMALLEST_NORM)
    u_BD = torch.mul(slope_BD, to_norm_B1, out=x[..., between, :D])
    _through(u_BD @ w1_x.mT, between_BH, out=between_BH)
    to_w1, to_s2 = g1.mT @ x, s2.mT @ h1
    s2_sum = s2[..., known, :].sum(-2)
    gradients = [
        to_w1[..., :-1],
        to_w1[..., -1],
        w3.mT * to_s2,
        w3.squeeze(-2) * s2_sum,
        ((w2 * to_s2).sum(-1) + b2 * s2_sum).unsqueeze(-2),
        torch.zeros_like(b3),  # a constant added to all scores changes nothing
    ]
    loss = penalty * slope_penalty - estimate
    return torch.stack([loss, estimate, slope_penalty], -1), gradients


def _add_product(term: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Return ``term + x @ weight.mT``."""
    add = torch.addmm if x.ndim == 2 else torch.baddbmm
    return add(term, x, weight.mT)


@lru_cache(maxsize=8)
def _seeds(B: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return d loss / d score of real and fake rows; 1 for rows between, to get their slope."""
    one = torch.tensor([-1 / B, 1 / B, 1.0], dtype=dtype)
    return one.repeat_interleave(B).unsqueeze(1).to(device)


def _through(cotangent: Tensor, outputs: Tensor, *, out: Tensor) -> Tensor:
    """Multiply by the slope of the activation, given by the sign of its outputs.

    The result is written to ``out``, which may be either argument.
    """
    torch.ops.aten.leaky_relu_backward.grad_input(
        cotangent, outputs, NEGATIVE_SLOPE, True, grad_input=out
    )
    return out
