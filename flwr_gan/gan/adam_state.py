"""The moments that Adam remembers, by parameter name, as arrays and back."""

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from flwr_gan.gan.weights import as_tensor

MOMENTS = ("exp_avg", "exp_avg_sq")


def new_adam(network: nn.Module, *, lr: float, betas: tuple[float, ...]) -> torch.optim.Adam:
    """Return an Adam optimiser over a network whose moments exist from the start, at zero."""
    return new_adam_over(network.parameters(), lr=lr, betas=betas)


def new_adam_over(
    weights: Iterable[nn.Parameter], *, lr: float, betas: tuple[float, ...]
) -> torch.optim.Adam:
    """Return what ``new_adam`` does, over weights that belong to no network."""
    first, second = betas
    weights = list(weights)
    adam = torch.optim.Adam(weights, lr=lr, betas=(first, second), fused=True)
    _forget(adam, weights)
    return adam


def forget(adam: torch.optim.Adam, network: nn.Module) -> None:
    """Set the step count and every moment to zero, as before the first step."""
    _forget(adam, network.parameters())


def _forget(adam: torch.optim.Adam, weights: Iterable[nn.Parameter]) -> None:
    for weight in weights:
        state: dict[str, Tensor] = {"step": torch.zeros((), device=weight.device)}
        state |= {moment: torch.zeros_like(weight) for moment in MOMENTS}
        adam.state[weight] = state


def forget_pruned(adam: torch.optim.Adam, network: nn.Module, pruned: Mapping[str, Tensor]) -> None:
    """Set the moments of pruned weights to zero, so that nothing moves them.

    Parameters
    ----------
    adam, network
        The optimiser and the network it belongs to.
    pruned : mapping from str to bool Tensor
        True where a weight is pruned, for each parameter.
    """
    for name, weight in network.named_parameters():
        for moment in MOMENTS:
            adam.state[weight][moment].masked_fill_(pruned[name], 0.0)


def adam_arrays(adam: torch.optim.Adam, network: nn.Module) -> dict[str, NDArray[np.float32]]:
    """Return copies of the moments and of the step count (shape (1,)), all float32."""
    arrays = {}
    for name, weight in network.named_parameters():
        state = adam.state[weight]
        arrays["step"] = state["step"].cpu().numpy().reshape(1).copy()
        for moment in MOMENTS:
            arrays[f"{moment}/{name}"] = state[moment].cpu().numpy().copy()
    return arrays


def adam_shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes that ``load_adam_arrays`` needs."""
    named = {f"{m}/{n}": tuple(w.shape) for n, w in network.named_parameters() for m in MOMENTS}
    return {"step": (1,), **named}


def load_adam_arrays(
    adam: torch.optim.Adam, network: nn.Module, arrays: Mapping[str, NDArray[np.generic]]
) -> None:
    """Write what ``adam_arrays`` gave back, bit for bit; names and shapes are the caller's care."""
    for name, weight in network.named_parameters():
        state = adam.state[weight]
        state["step"].fill_(float(arrays["step"].item()))
        for moment in MOMENTS:
            state[moment].copy_(as_tensor(arrays[f"{moment}/{name}"]))
