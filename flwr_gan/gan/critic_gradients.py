"""Loss and gradients of a critic step (paper 000, Eq. 2), by autograd or in closed form.

B batch, T vectors, C components, D = T * C, K classes, H1 and H2 hidden units.

The critic is piecewise linear: almost everywhere the second derivative of its activation is zero,
so the gradient of the penalty needs no second backpropagation through the activations. What is
left are ten products with the matrix of the second layer, where autograd takes more products and
several hundred small steps.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from flwr_gan.gan.batches import Batch
from flwr_gan.gan.losses import gradient_penalty, hinge_loss, wasserstein_estimate
from flwr_gan.gan.networks import NEGATIVE_SLOPE

_SMALLEST_NORM = 1e-12

CriticGradients = Callable[[nn.Module, Batch, float], tuple[Tensor, list[Tensor]]]


def autograd_gradients(
    critic: nn.Module, batch: Batch, penalty: float
) -> tuple[Tensor, list[Tensor]]:
    """Return loss, Wasserstein estimate and penalty, shape (3,), and a gradient a parameter.

    Works for any critic; ``closed_form_gradients`` is the fast path of the multilayer perceptron.

    Parameters
    ----------
    critic : nn.Module
        Not changed.
    batch : Batch
        Real and generated samples, labels, and where to interpolate.
    penalty : float
        lambda, strength of the gradient penalty.
    """
    real_BTC, fake_BTC, y_B, mix_B = batch
    estimate = wasserstein_estimate(critic, real_BTC, fake_BTC, y_B)
    slope_penalty = gradient_penalty(critic, real_BTC, fake_BTC, y_B, mix_B)
    loss = penalty * slope_penalty - estimate
    measures = torch.stack([loss.detach(), estimate.detach(), slope_penalty.detach()])
    return measures, gradients_of(loss, critic)


def hinge_gradients(critic: nn.Module, batch: Batch, penalty: float) -> tuple[Tensor, list[Tensor]]:
    """Return what ``autograd_gradients`` returns, for the hinge loss.

    Parameters
    ----------
    critic : nn.Module
        Keeps itself smooth, by spectral normalisation for instance.
    batch : Batch
        Real and generated samples and labels.
    penalty : float
        Not used: there is no gradient penalty, and 0 is returned in its place.
    """
    real_BTC, fake_BTC, y_B, _ = batch
    score_2B = critic(torch.cat([real_BTC, fake_BTC]), torch.cat([y_B, y_B]))
    real_B, fake_B = score_2B.chunk(2)
    loss = hinge_loss(real_B, fake_B)
    estimate = (real_B.mean() - fake_B.mean()).detach()
    measures = torch.stack([loss.detach(), estimate, torch.zeros_like(estimate)])
    return measures, gradients_of(loss, critic)


def gradients_of(loss: Tensor, network: nn.Module) -> list[Tensor]:
    """Return a gradient a parameter, zeros for one that the loss does not depend on."""
    parameters = list(network.parameters())
    return list(torch.autograd.grad(loss, parameters, materialize_grads=True))


@torch.no_grad()
def closed_form_gradients(
    critic: nn.Module, batch: Batch, penalty: float
) -> tuple[Tensor, list[Tensor]]:
    """Return what ``autograd_gradients`` returns, in closed form and equal up to rounding.

    Real samples, generated ones and the points between them go through the layers together, as 3B
    rows. With a_1, a_2 the inputs of the activations and s_1, s_2 their slopes, the slope of the
    score is g_x = W_1^T (s_1 * W_2^T (s_2 * w_3)); the penalty reaches the weights through these
    three products alone, so its gradients are outer products of g_1, g_2 with the slopes'
    cotangents u, v_1, v_2, which run forward through the layers as a sample would.
    """
    real_BTC, fake_BTC, y_B, mix_B = batch
    B = len(y_B)
    label_BK = critic.get_buffer("onehot_KK")[y_B]
    points = torch.stack([real_BTC, fake_BTC, torch.lerp(real_BTC, fake_BTC, mix_B.view(-1, 1, 1))])
    D = points[0, 0].numel()
    x = torch.cat([points.view(3 * B, D), label_BK.repeat(3, 1)], dim=1)
    w1, b1, w2, b2, w3, _ = critic.parameters()

    a1 = torch.addmm(b1, x, w1.T)
    h1 = torch.nn.functional.leaky_relu(a1, NEGATIVE_SLOPE)
    a2 = torch.addmm(b2, h1, w2.T)
    h2 = torch.nn.functional.leaky_relu(a2[: 2 * B], NEGATIVE_SLOPE)
    score_2B = (h2 @ w3.T).squeeze(1)
    estimate = score_2B[:B].mean() - score_2B[B:].mean()

    # d loss / d score of real and generated rows; 1 for the points between, whose slope is wanted
    seed = a2.new_tensor([-1 / B, 1 / B, 1.0]).repeat_interleave(B).unsqueeze(1)
    g2 = _through(seed * w3, a2)
    g1 = _through(g2 @ w2, a1)
    slope_BD = g1[2 * B :] @ w1[:, :D]
    norm_B1 = torch.linalg.vector_norm(slope_BD, dim=1, keepdim=True)
    slope_penalty = (norm_B1 - 1).square().mean()

    u_BD = slope_BD * ((norm_B1 - 1) * (2 * penalty / B) / norm_B1.clamp_min(_SMALLEST_NORM))
    v1 = _through(u_BD @ w1[:, :D].T, a1[2 * B :])
    v2 = _through(v1 @ w2.T, a2[2 * B :])
    # in the rows of the points between, the cotangents take the place of the samples
    x[2 * B :, :D] = u_BD
    x[2 * B :, D:] = 0
    h1[2 * B :] = v1
    to_w3 = seed[: 2 * B].T @ h2 + v2.sum(dim=0)
    to_b3 = seed[: 2 * B].sum(dim=0)
    gradients = [
        g1.T @ x,
        g1[: 2 * B].sum(dim=0),
        g2.T @ h1,
        g2[: 2 * B].sum(dim=0),
        to_w3,
        to_b3,
    ]
    loss = penalty * slope_penalty - estimate
    return torch.stack([loss, estimate, slope_penalty]), gradients


def _through(cotangent: Tensor, inputs: Tensor) -> Tensor:
    """Multiply by the activation's slope at its inputs."""
    through: Tensor = torch.ops.aten.leaky_relu_backward(cotangent, inputs, NEGATIVE_SLOPE, False)
    return through
