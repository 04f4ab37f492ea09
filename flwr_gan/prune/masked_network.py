"""A network with pruned weights that stay zero under any optimiser."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

from flwr_gan.gan.weights import as_tensor
from flwr_gan.prune.magnitude import LEAST_AXES, Mask


def maskable(network: nn.Module) -> dict[str, tuple[nn.Module, str]]:
    """Return module and name of each weight with two or more axes, by full name."""
    return {
        f"{path}.{name}": (module, name)
        for path, module in network.named_modules()
        for name, weight in module.named_parameters(recurse=False)
        if weight.ndim >= LEAST_AXES
    }


class MaskedNetwork:
    """Parametrises the weights of a network by a mask, which initially keeps all.

    Effective weights are exactly zero where the mask is False, and get no gradient; optimiser and
    trainer need no change. The network's parameters get other names and another order, so gradients
    in closed form cannot be used. Changes the network in place.
    """

    def __init__(self, network: nn.Module) -> None:
        self._places = maskable(network)
        self._kept = {}
        for key, (module, name) in self._places.items():
            self._kept[key] = _Kept(getattr(module, name))
            parametrize.register_parametrization(module, name, self._kept[key])

    @property
    def mask(self) -> Mask:
        """Copies of the masks, True where a weight is kept."""
        return {key: kept.get_buffer("kept").cpu().numpy() for key, kept in self._kept.items()}

    @property
    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Copies of the weights that the network computes with."""
        return {
            key: getattr(module, name).detach().cpu().numpy().copy()
            for key, (module, name) in self._places.items()
        }

    def set_mask(self, mask: Mapping[str, NDArray[np.bool_]]) -> None:
        """Set another mask, with one array per array of ``mask``."""
        for key, kept in self._kept.items():
            kept.get_buffer("kept").copy_(as_tensor(mask[key]))


class _Kept(nn.Module):
    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("kept", torch.ones_like(weight, dtype=torch.bool))

    def forward(self, weight: Tensor) -> Tensor:
        return torch.where(self.get_buffer("kept"), weight, 0.0)
