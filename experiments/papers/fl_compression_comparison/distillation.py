"""Algorithm 3 of the paper as printed; the loss that it means is in ``flwr_gan.methods``.

B samples of a batch, K classes; z logits of the student, t logits of the teacher.
"""

import torch
from torch import Tensor
from torch.nn import functional


def printed_loss(
    z_BK: Tensor, t_BK: Tensor, y_B: Tensor, *, alpha: float, temperature: float
) -> Tensor:
    """Return algorithm 3 of the paper as printed, with cross entropy for its loss, a scalar.

    Softmax outputs go where cross entropy takes logits, so softmax is taken twice; and the hard
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
