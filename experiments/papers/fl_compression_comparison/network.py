"""SimpleNN and its student: fully connected networks whose weights lie in one flat vector.

B samples of a batch, I inputs, K classes; z logits of the student, t logits of the teacher.
Gradients are in closed form: for so small a network autograd would be a third of the time. The
paper's algorithm 3 stands here as printed; the loss that it means is in ``flwr_gan.methods``.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

TEACHER_SIZES = (784, 128, 64, 10)
STUDENT_SIZES = (784, 62, 10)
DENSE_BYTES = 4 * sum(a * b + b for a, b in pairwise(TEACHER_SIZES))
"""SimpleNN in float32: 437,544 bytes, the model to which all ratios refer."""
LossGradient = Callable[[Tensor, Tensor], Tensor]
"""From logits and the places of the batch's samples to the gradient by the logits."""

_CHUNK = 2000


class Network:
    """Fully connected layers with ReLU between them: 109,386 weights, the student 49,300.

    ``sizes`` are inputs, hidden units, classes; initial weights are PyTorch's own for linear
    layers.
    """

    def __init__(self, sizes: tuple[int, ...], *, seed: int) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            layers = [nn.Linear(*pair) for pair in pairwise(sizes)]
        self.names = [
            f"fc{i}.{part}" for i in range(1, len(layers) + 1) for part in ("weight", "bias")
        ]
        parts = [p.detach() for layer in layers for p in (layer.weight, layer.bias)]
        self.flat = torch.cat([part.reshape(-1) for part in parts])
        self._gradient = torch.zeros_like(self.flat)
        self._weights = _views(self.flat, parts)
        self._gradients = _views(self._gradient, parts)

    @property
    def arrays(self) -> list[NDArray[np.float32]]:
        """A copy of weights and biases, in the order of ``names``."""
        return [weight.numpy().copy() for weight in self._weights]

    def load(self, arrays: list[NDArray[np.float32]]) -> None:
        """Take over weights and biases."""
        for weight, array in zip(self._weights, arrays, strict=True):
            weight.copy_(torch.from_numpy(np.ascontiguousarray(array)))

    def logits(self, x_BI: Tensor) -> Tensor:
        """Return the network's output for all samples, piece by piece."""
        return torch.cat([self._forward(part)[-1] for part in torch.split(x_BI, _CHUNK)])

    def measure(self, x_BI: Tensor, y_B: Tensor) -> tuple[float, float]:
        """Return accuracy (0 .. 1) and mean cross entropy."""
        z_BK = self.logits(x_BI)
        accuracy = (z_BK.argmax(1) == y_B).double().mean()
        return float(accuracy), float(functional.cross_entropy(z_BK, y_B))

    def gradient(self, x_BI: Tensor, places: Tensor, loss_gradient: LossGradient) -> Tensor:
        """Return the flat gradient of the loss over a batch; the next call overwrites it."""
        activations = self._forward(x_BI)
        delta = loss_gradient(activations.pop(), places)
        for layer in range(len(self._weights) - 2, -1, -2):
            below = activations.pop()
            torch.mm(delta.t(), below, out=self._gradients[layer])
            torch.sum(delta, 0, out=self._gradients[layer + 1])
            if layer:
                delta = (delta @ self._weights[layer]).mul_(below > 0)
        return self._gradient

    def _forward(self, x_BI: Tensor) -> list[Tensor]:
        """Return the input of every layer, then the logits."""
        activations = [x_BI]
        for layer in range(0, len(self._weights), 2):
            weight, bias = self._weights[layer : layer + 2]
            out = torch.addmm(bias, activations[-1], weight.t())
            last = layer == len(self._weights) - 2
            activations.append(out if last else out.relu_())
        return activations


def train(
    network: Network,
    x_NI: Tensor,
    loss_gradient: LossGradient,
    batches: Iterator[tuple[Tensor, Tensor]],
    *,
    learning_rate: float,
    momentum: float,
    proximal_mu: float = 0.0,
) -> None:
    """Train by SGD with momentum, which starts at zero; with FedProx's term where mu is not 0.

    The network is trained in place; its weights at the start are the centre of the proximal term.
    ``batches`` has for each step the samples' places in ``x_NI`` and their places among the
    client's own. The step is ``-rate v`` with ``v = momentum v + gradient + mu (w - w_start)``.
    """
    velocity = torch.zeros_like(network.flat)
    start = network.flat.clone() if proximal_mu else None
    for indices, places in batches:
        gradient = network.gradient(x_NI.index_select(0, indices), places, loss_gradient)
        velocity.mul_(momentum).add_(gradient)
        if start is not None:
            velocity.add_(network.flat - start, alpha=proximal_mu)
        network.flat.add_(velocity, alpha=-learning_rate)


def shuffled(
    indices_N: Tensor, *, batch_size: int, passes: int, rng: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches in a new random order each pass; the last batch of a pass may be smaller."""
    for _ in range(passes):
        for places in torch.split(torch.randperm(len(indices_N), generator=rng), batch_size):
            yield indices_N[places], places


def _views(flat: Tensor, like: list[Tensor]) -> list[Tensor]:
    pieces = torch.split(flat, [part.numel() for part in like])
    return [piece.view(part.shape) for piece, part in zip(pieces, like, strict=True)]


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
