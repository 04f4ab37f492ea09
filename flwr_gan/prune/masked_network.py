"""A network some of whose weights are zero and stay zero, whatever trains it."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

from flwr_gan.gan.weights import as_tensor
from flwr_gan.prune.magnitude import LEAST_AXES, Mask


def maskable(network: nn.Module) -> dict[str, tuple[nn.Module, str]]:
    """Return where the weights of two or more axes are, module and name, by their full names."""
    return {
        f"{path}.{name}": (module, name)
        for path, module in network.named_modules()
        for name, weight in module.named_parameters(recurse=False)
        if weight.ndim >= LEAST_AXES
    }


class MaskedNetwork:
    """Parametrises the weights of a network by a mask, all kept at first.

    What the network computes with is exactly zero where the mask is False, and no gradient reaches
    those weights; optimiser and trainer need not know. The network's parameters get other names and
    another order, so gradients in closed form do not serve it. Changes the network in place.
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
        """Take another mask, an array for each of ``mask``."""
        for key, kept in self._kept.items():
            kept.get_buffer("kept").copy_(as_tensor(mask[key]))


class _Kept(nn.Module):
    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("kept", torch.ones_like(weight, dtype=torch.bool))

    def forward(self, weight: Tensor) -> Tensor:
        return torch.where(self.get_buffer("kept"), weight, 0.0)
