"""Fully connected networks and their training, with gradients in closed form.

B samples of a batch, I inputs, K classes; z logits. For such a small network autograd would be a
third of the training time.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from flwr_gan.errors import TrainingError

LossGradient = Callable[[Tensor, Tensor], Tensor]
"""Function of logits and the indices of the batch's samples: the gradient by the logits."""

_CHUNK = 2000


def new_network(sizes: Sequence[int], *, seed: int) -> nn.Sequential:
    """Return linear layers with ReLU between them and PyTorch's default initial weights.

    ``sizes`` are inputs, hidden units, classes.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [nn.Linear(*pair) for pair in pairwise(sizes)]
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    for number, layer in enumerate(layers, start=1):
        modules |= {f"fc{number}": layer, f"relu{number}": nn.ReLU()}
    modules.popitem()
    return nn.Sequential(modules)


def logits(network: nn.Module, x_NI: Tensor) -> Tensor:
    """Return the network's output for all samples, piece by piece."""
    with torch.no_grad():
        return torch.cat([network(part) for part in torch.split(x_NI, _CHUNK)])


def measure(network: nn.Module, x_NI: Tensor, y_N: Tensor) -> tuple[float, float]:
    """Return accuracy (0 .. 1) and mean cross entropy."""
    z_NK = logits(network, x_NI)
    accuracy = (z_NK.argmax(1) == y_N).double().mean()
    return float(accuracy), float(functional.cross_entropy(z_NK, y_N))


@torch.no_grad()
def train(
    network: nn.Sequential,
    x_NI: Tensor,
    loss_gradient: LossGradient,
    batches: Iterator[Tensor],
    *,
    learning_rate: float,
    momentum: float,
    proximal_mu: float = 0.0,
) -> None:
    """Train in place by SGD with momentum, and with FedProx's term if mu is not 0.

    The weights at the start are the centre of the proximal term. ``batches`` has the indices of
    each step's samples. The step is ``-rate v`` with ``v = momentum v + gradient + mu (w -
    w_start)``, and v starts at zero. Raises TrainingError if weights are no longer finite.
    """
    weights = list(network.parameters())
    flat = parameters_to_vector(weights)
    vector_to_parameters(flat, weights)  # the parameters are views of one vector from here on
    gradient, velocity = torch.empty_like(flat), torch.zeros_like(flat)
    pieces = torch.split(gradient, [weight.numel() for weight in weights])
    gradients = [piece.view_as(weight) for piece, weight in zip(pieces, weights, strict=True)]
    start = flat.clone() if proximal_mu else None
    for places in batches:
        _fill(gradients, weights, x_NI.index_select(0, places), places, loss_gradient)
        velocity.mul_(momentum).add_(gradient)
        if start is not None:
            velocity.add_(flat - start, alpha=proximal_mu)
        flat.add_(velocity, alpha=-learning_rate)
    if not torch.isfinite(flat).all():
        raise TrainingError("weights are not finite: lower classifier.learning_rate")


def shuffled(count: int, *, batch_size: int, passes: int, rng: torch.Generator) -> Iterator[Tensor]:
    """Yield indices in a new random order each pass; the last batch of a pass may be smaller."""
    for _ in range(passes):
        yield from torch.split(torch.randperm(count, generator=rng), batch_size)


def _fill(
    gradients: Sequence[Tensor],
    weights: Sequence[Tensor],
    x_BI: Tensor,
    places: Tensor,
    loss_gradient: LossGradient,
) -> None:
    """Write the gradient of the loss over a batch, for weights and biases in turn."""
    activations, last = [x_BI], len(weights) - 2
    for at in range(0, len(weights), 2):
        out = torch.addmm(weights[at + 1], activations[-1], weights[at].t())
        activations.append(out if at == last else out.relu_())
    delta = loss_gradient(activations.pop(), places)
    for at in range(last, -1, -2):
        below = activations.pop()
        torch.mm(delta.t(), below, out=gradients[at])
        torch.sum(delta, 0, out=gradients[at + 1])
        if at:
            delta = (delta @ weights[at]).mul_(below > 0)
