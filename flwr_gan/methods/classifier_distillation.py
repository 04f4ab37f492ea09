"""Temperature-scaled distillation of a classifier (Hinton, Vinyals, Dean 2015, arXiv:1503.02531).

B samples of a batch, K classes; z logits of the student, t logits of the teacher. Algorithm 3 of
paper 001 uses softmax outputs instead of logits in the loss; here both networks enter as logits,
except in ``printed_loss``.
"""

import torch
from torch import Tensor
from torch.nn import functional


def distillation_loss(
    z_BK: Tensor, t_BK: Tensor, y_B: Tensor, *, alpha: float, temperature: float
) -> Tensor:
    """Return ``alpha T^2 KL(softmax(t/T) || softmax(z/T)) + (1 - alpha) CE(z, y)``, a scalar.

    The factor T^2 keeps the size of the soft gradient the same at every temperature. Both networks
    enter as logits. ``alpha``, from 0 to 1, is the weight of the soft part; T is above 0.
    """
    soft = functional.kl_div(
        torch.log_softmax(z_BK / temperature, 1),
        torch.log_softmax(t_BK / temperature, 1),
        reduction="batchmean",
        log_target=True,
    )
    hard = functional.cross_entropy(z_BK, y_B)
    return alpha * temperature**2 * soft + (1 - alpha) * hard


def cross_entropy_gradient(z_BK: Tensor, y_B: Tensor) -> Tensor:
    """Return the gradient of the mean cross entropy by the logits, ``(softmax(z) - y) / B``."""
    g_BK = torch.softmax(z_BK, 1)
    g_BK[torch.arange(len(y_B)), y_B] -= 1
    return g_BK / len(y_B)


def distillation_gradient(
    z_BK: Tensor, t_BK: Tensor, y_B: Tensor, *, alpha: float, temperature: float
) -> Tensor:
    """Return the gradient of ``distillation_loss`` by the student's logits, in closed form."""
    soft_BK = torch.softmax(z_BK / temperature, 1) - torch.softmax(t_BK / temperature, 1)
    soft_BK *= alpha * temperature / len(y_B)
    return soft_BK.add_(cross_entropy_gradient(z_BK, y_B), alpha=1 - alpha)


def printed_loss(
    z_BK: Tensor, t_BK: Tensor, y_B: Tensor, *, alpha: float, temperature: float
) -> Tensor:
    """Return algorithm 3 of the paper as printed, with cross entropy for its loss, a scalar.

    Cross entropy gets softmax outputs instead of logits, so softmax is applied twice; and the hard
    part compares with the teacher's output, here its most likely class, so ``y_B`` is not used.
    """
    p_BK, q_BK = torch.softmax(z_BK / temperature, 1), torch.softmax(t_BK / temperature, 1)
    soft = functional.cross_entropy(p_BK, q_BK)
    hard = functional.cross_entropy(z_BK, t_BK.argmax(1))
    return alpha * temperature**2 * soft + (1 - alpha) * hard


def printed_gradient(
    z_BK: Tensor, t_BK: Tensor, y_B: Tensor, *, alpha: float, temperature: float
) -> Tensor:
    """Return the gradient of ``printed_loss`` by the student's logits, by autograd."""
    with torch.enable_grad():
        leaf_BK = z_BK.detach().requires_grad_()
        loss = printed_loss(leaf_BK, t_BK, y_B, alpha=alpha, temperature=temperature)
        (g_BK,) = torch.autograd.grad(loss, leaf_BK)
    return g_BK
