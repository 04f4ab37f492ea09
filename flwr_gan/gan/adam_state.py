"""Adam's moments by parameter name."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

MOMENTS = ("exp_avg", "exp_avg_sq")


def new_adam(
    weights: Iterable[nn.Parameter], *, lr: float, betas: tuple[float, ...]
) -> torch.optim.Adam:
    """Return an Adam optimiser over weights whose moments exist from the start, at zero."""
    first, second = betas
    adam = torch.optim.Adam(list(weights), lr=lr, betas=(first, second), fused=True)
    forget(adam)
    return adam


def forget(adam: torch.optim.Adam) -> None:
    """Set the step count and every moment to zero, as before the first step."""
    for weight in adam.param_groups[0]["params"]:
        state: dict[str, Tensor] = {"step": torch.zeros((), device=weight.device)}
        state |= {moment: torch.zeros_like(weight) for moment in MOMENTS}
        adam.state[weight] = state


def forget_pruned(adam: torch.optim.Adam, network: nn.Module, pruned: Mapping[str, Tensor]) -> None:
    """Set the moments of pruned weights to zero, so that these weights do not move.

    ``pruned`` has a mask per parameter, True where a weight is pruned.
    """
    for name, weight in network.named_parameters():
        for moment in MOMENTS:
            adam.state[weight][moment].masked_fill_(pruned[name], 0.0)


def adam_tensors(adam: torch.optim.Adam, network: nn.Module) -> dict[str, dict[str, Tensor]]:
    """Return the optimiser's own step counts and moments by the names of the parameters."""
    return {name: adam.state[weight] for name, weight in network.named_parameters()}
