"""The clipped sum of per-sample critic gradients, by autograd or in closed form.

B batch, T vectors, C components, D = T * C, K classes, H hidden units, W weights of a layer.

A sample's loss contains everything that depends on it: the score of the real sample, the score of
the one generated sample of its label, and the gradient penalty at the one point between them
(Zhang, Ji and Wang, 2018, "Differentially private releasing via deep generative model"). So each
record enters one summand, which is clipped as a whole, and adding or removing a record changes the
sum by at most `clip` for any penalty. See PRIVACY.md.
"""

import torch
from torch import Tensor, nn

from flwr_gan.gan.batches import Batch
from flwr_gan.gan.networks import NEGATIVE_SLOPE

_SMALLEST_NORM = 1e-12


def clipped_sums(
    critic: nn.Module, batch: Batch, penalty: float, *, clip: float
) -> tuple[Tensor, list[Tensor]]:
    """Return mean measures, shape (3,), and each parameter's sum of clipped gradients.

    Works for any critic that treats the samples of a batch independently. ``clip`` is the largest
    norm of one sample's gradient over all parameters. The batch may be empty.
    """
    if not len(batch.y_B):
        return _nothing(critic)
    measures_B3, gradients = per_sample_gradients(critic, batch, penalty)
    square_B = torch.stack([g.double().square().flatten(1).sum(1) for g in gradients]).sum(0)
    factor_B = _factors(square_B, clip)
    sums = [torch.tensordot(factor_B, g, dims=1) for g in gradients]
    return measures_B3.mean(dim=0), sums


def per_sample_gradients(
    critic: nn.Module, batch: Batch, penalty: float
) -> tuple[Tensor, list[Tensor]]:
    """Return measures, shape (B, 3), and gradients, (B, ...) per parameter, per sample."""
    weights = {name: w.detach() for name, w in critic.named_parameters()}
    gradients, measures_B3 = torch.func.vmap(
        torch.func.grad(lambda w, *sample: _loss(critic, penalty, w, *sample), has_aux=True),
        in_dims=(None, 0, 0, 0, 0),
    )(weights, *batch)
    return measures_B3, [gradients[name] for name in weights]


@torch.no_grad()
def closed_form_clipped_sums(
    critic: nn.Module, batch: Batch, penalty: float, *, clip: float
) -> tuple[Tensor, list[Tensor]]:
    """Return the result of ``clipped_sums`` for the multilayer perceptron, up to rounding.

    The pieces are those of ``gan.critic_gradients.closed_form_gradients``: of each weight matrix, a
    sample's gradient is a sum of three outer products, of its real, its generated and its
    interpolated row. The norm of such a sum follows from the products of the rows with each other,
    so no per-sample gradient is ever built (Goodfellow, 2015; "ghost clipping").
    """
    real_BTC, fake_BTC, y_B, mix_B = batch
    B = len(y_B)
    if not B:
        return _nothing(critic)
    label_BK = critic.get_buffer("onehot_KK")[y_B]
    points = torch.stack([real_BTC, fake_BTC, torch.lerp(real_BTC, fake_BTC, mix_B.view(-1, 1, 1))])
    D = points[0, 0].numel()
    x = torch.cat([points.view(3 * B, D), label_BK.repeat(3, 1)], dim=1)
    w1, b1, w2, b2, w3, b3 = critic.parameters()

    a1 = torch.addmm(b1, x, w1.T)
    h1 = torch.nn.functional.leaky_relu(a1, NEGATIVE_SLOPE)
    a2 = torch.addmm(b2, h1, w2.T)
    h2 = torch.nn.functional.leaky_relu(a2[: 2 * B], NEGATIVE_SLOPE)
    score_2B = (h2 @ w3.T + b3).squeeze(1)
    estimate_B = score_2B[:B] - score_2B[B:]

    seed = a2.new_tensor([-1.0, 1.0, 1.0]).repeat_interleave(B).unsqueeze(1)
    g2 = _through(seed * w3, a2)
    g1 = _through(g2 @ w2, a1)
    slope_BD = g1[2 * B :] @ w1[:, :D]
    norm_B1 = torch.linalg.vector_norm(slope_BD, dim=1, keepdim=True)
    penalty_B = (norm_B1 - 1).square().squeeze(1)

    u_BD = slope_BD * ((norm_B1 - 1) * (2 * penalty) / norm_B1.clamp_min(_SMALLEST_NORM))
    v1 = _through(u_BD @ w1[:, :D].T, a1[2 * B :])
    v2 = _through(v1 @ w2.T, a2[2 * B :])
    x[2 * B :, :D] = u_BD
    x[2 * B :, D:] = 0
    h1[2 * B :] = v1
    to_w3_BH = h2[B:] - h2[:B] + v2
    to_b1_BH, to_b2_BH = g1[:B] + g1[B : 2 * B], g2[:B] + g2[B : 2 * B]
    # b3 adds the same to a sample's real and generated score, so its gradient is zero

    square_B = _outer_squares(g1, x, B) + _outer_squares(g2, h1, B)
    for gradient_BH in (to_w3_BH, to_b1_BH, to_b2_BH):
        square_B += gradient_BH.double().square().sum(dim=1)
    factor_B = _factors(square_B, clip)
    factor = factor_B.repeat(3).unsqueeze(1)
    sums = [
        (g1 * factor).T @ x,
        factor_B @ to_b1_BH,
        (g2 * factor).T @ h1,
        factor_B @ to_b2_BH,
        (factor_B @ to_w3_BH).unsqueeze(0),
        torch.zeros_like(b3),
    ]
    loss_B = penalty * penalty_B - estimate_B
    return torch.stack([loss_B.mean(), estimate_B.mean(), penalty_B.mean()]), sums


def _loss(
    critic: nn.Module,
    penalty: float,
    weights: dict[str, Tensor],
    real_TC: Tensor,
    fake_TC: Tensor,
    y: Tensor,
    mix: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return the loss of one sample and its measures."""

    def score(x_TC: Tensor) -> Tensor:
        scores: Tensor = torch.func.functional_call(
            critic, weights, (x_TC.unsqueeze(0), y.unsqueeze(0))
        )
        return scores.squeeze(0)

    slope_TC = torch.func.grad(score)(torch.lerp(real_TC, fake_TC, mix))
    slope_penalty = (torch.linalg.vector_norm(slope_TC) - 1).square()
    estimate = score(real_TC) - score(fake_TC)
    loss = penalty * slope_penalty - estimate
    return loss, torch.stack([loss, estimate, slope_penalty]).detach()


def _nothing(critic: nn.Module) -> tuple[Tensor, list[Tensor]]:
    """Return the result for an empty batch."""
    sums = [torch.zeros_like(weight) for weight in critic.parameters()]
    return sums[0].new_zeros(3), sums


def _factors(square_B: Tensor, clip: float) -> Tensor:
    """Return the factor for each sample's gradient, from its squared norm in float64."""
    norm_B = square_B.clamp_min(0).sqrt()
    return (clip / norm_B.clamp_min(_SMALLEST_NORM)).clamp_max(1.0).float()


def _outer_squares(left: Tensor, right: Tensor, B: int) -> Tensor:
    """Return the squared norm of each sample's sum of three outer products, in float64.

    Rows of one sample nearly cancel when its generated sample is close to the real one; float64
    keeps the norm right, and with it the bound.
    """
    left_3BW, right_3BW = (rows.double().view(3, B, -1) for rows in (left, right))
    left_B33 = torch.einsum("rbw,sbw->brs", left_3BW, left_3BW)
    right_B33 = torch.einsum("rbw,sbw->brs", right_3BW, right_3BW)
    return (left_B33 * right_B33).sum(dim=(1, 2))


def _through(cotangent: Tensor, inputs: Tensor) -> Tensor:
    """Multiply by the activation's slope at its inputs."""
    through: Tensor = torch.ops.aten.leaky_relu_backward(cotangent, inputs, NEGATIVE_SLOPE, False)
    return through
