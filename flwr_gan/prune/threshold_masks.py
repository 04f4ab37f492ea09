"""Masks trained with the weights: one threshold per output channel (paper 003, Eq. 1-3).

A masked layer computes with W * M, M = S(|W| - t), where S is 1 above 0 and 0 elsewhere. In the
backward pass, the long-tailed estimate of dynamic sparse training (Liu et al., 2020; Xu and Cheung,
2019) replaces the derivative of S, so that thresholds are trained by the loss, and pruned weights
return as soon as their threshold falls below them: recurrent regeneration.

H output channels.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

from flwr_gan.core.settings import Amount, Positive, checked, require_one_of
from flwr_gan.errors import ConfigError
from flwr_gan.gan.sparse_matrix import TRANSPOSED
from flwr_gan.gan.weights import restore
from flwr_gan.prune.masked_network import maskable

GRADIENTS = ("masked", "all")
LEAST_KEPT = 0.01
"""Share of weights below which a layer's thresholds are reset, as in dynamic sparse training."""

_STEEP, _FLAT = 0.4, 1.0


def step_slope(x: Tensor) -> Tensor:
    """Return the estimate of the derivative of the unit step.

    2 - 4|x| up to |x| = 0.4, then 0.4 up to |x| = 1, then 0.
    """
    size = x.abs()
    return torch.where(
        size <= _STEEP, 2 - 4 * size, torch.where(size <= _FLAT, x.new_tensor(_STEEP), 0.0)
    )


class ThresholdMask(nn.Module):
    """Parametrises one weight by its mask; the thresholds are trained too.

    The first forward pass after an update sets the mask: it protects a layer from losing all
    weights, and without recurrence it keeps pruned weights pruned. ``axis`` is that of the output
    channels. Initially all weights that are not exactly zero are kept.
    """

    def __init__(
        self,
        weight: Tensor,
        *,
        axis: int,
        gradients: str,
        recurrent: bool,
        estimate: bool,
        pace: float,
    ) -> None:
        super().__init__()
        self.raw_threshold = nn.Parameter(weight.new_zeros(weight.shape[axis]))
        self._pace = pace
        self.register_buffer("alive", torch.ones_like(weight, dtype=torch.bool))
        self.register_buffer("resets", torch.zeros((), dtype=torch.int64, device=weight.device))
        self.register_buffer("dense", torch.tensor(False, device=weight.device))
        self._shape = [1] * weight.ndim
        self._shape[axis] = -1
        self._masks_gradients = gradients == "masked"
        self._recurrent = recurrent
        self._estimate = estimate

    @property
    def threshold(self) -> Tensor:
        """t, of shape (H,)."""
        return self.raw_threshold * self._pace

    def forward(self, weight: Tensor) -> Tensor:
        """Return the masked weight, or the full weight in a dense phase."""
        if self.dense:
            return weight
        kept = self.settle(weight)
        if self._masks_gradients:  # Eq. 2: a pruned weight gets no gradient in this pass
            weight = torch.where(kept, weight, weight.detach())
        mask = kept.to(weight.dtype)
        if self._estimate:
            x = weight.abs() - self.threshold.view(self._shape)
            mask = mask + (x - x.detach()) * step_slope(x.detach())  # x - x is exactly zero
        return weight * mask + 0.0  # turns -0.0 into +0.0

    @torch.no_grad()
    def settle(self, weight: Tensor) -> Tensor:
        """Return where the weight is kept; thresholds that would empty the layer return to 0."""
        if self.dense:
            return torch.ones_like(weight, dtype=torch.bool)
        alive = self.get_buffer("alive")
        kept = (weight.abs() > self.threshold.view(self._shape)) & alive
        enough = kept.sum() > LEAST_KEPT * weight.numel()
        if not self._recurrent:  # nothing may return, so the last sufficient mask stays
            alive.copy_(torch.where(enough, kept, alive))
            return alive.clone()
        self.get_buffer("resets").add_(~enough)
        self.raw_threshold.mul_(enough)
        return torch.where(enough, kept, weight != 0)

    @torch.no_grad()
    def restart(self) -> None:
        """Set the thresholds to 0, so that nothing is pruned."""
        self.raw_threshold.zero_()
        self.get_buffer("alive").fill_(True)


class ThresholdedNetwork:
    """Puts trainable masks on the weights of a network (RG-GAN's dynamic pruning).

    The network's own weights are never set to zero: a pruned weight keeps its value under the mask
    and has it again when it returns. With ``gradients="masked"`` and Adam without momentum
    (betas[0] = 0, as in this project and the published code) it is exactly the old value.
    Parameters get other names and another order, so gradients in closed form cannot be used.

    Every weight of two or more axes gets a mask, in place; the optimiser must be created
    afterwards, so that it trains the thresholds too. ``strength`` is lambda of Eq. 3.

    - ``gradients="masked"``: a weight's gradient is multiplied by its mask (Eq. 2), so a pruned one
      does not move; ``"all"``: pruned weights move by the estimate of the step, as in dynamic
      sparse training.
    - without ``recurrent``: pruned weights stay pruned until ``restart``, the paper's
      dynamic pruning without recurrent regeneration.
    - without ``estimate``: thresholds get a gradient only from the regulariser, not from the loss,
      as in the published code, which makes the mask boolean before use.
    - thresholds are ``pace`` times a parameter. Adam moves a parameter by about its learning rate
      whatever the gradient, so this is how much faster or slower than weights they move; 1 is the
      paper's.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        strength: float,
        gradients: str = "masked",
        recurrent: bool = True,
        estimate: bool = True,
        pace: float = 1.0,
    ) -> None:
        require_one_of("gradients", gradients, GRADIENTS)
        checked("strength", strength, Amount)
        checked("pace", pace, Positive)
        self.network = network
        self.strength = strength
        self._masks: dict[str, ThresholdMask] = {}
        self._names = [name for name, _ in network.named_parameters()]
        self._layers = maskable(network)
        for key, (module, name) in self._layers.items():
            mask = ThresholdMask(
                module.get_parameter(name).detach(),
                axis=_channel_axis(module, key),
                gradients=gradients,
                recurrent=recurrent,
                estimate=estimate,
                pace=pace,
            )
            parametrize.register_parametrization(module, name, mask)
            self._masks[key] = mask
        if not self._masks:
            raise ConfigError(f"a {type(network).__name__} has no weight that can be masked")

    def penalty(self) -> Tensor:
        """Return lambda times the sum of exp(-t) over all thresholds; 0 in a dense phase."""
        terms = [torch.exp(-mask.threshold).sum() for mask in self._masks.values()]
        return self.strength * (0.0 if self.dense else 1.0) * torch.stack(terms).sum()

    @property
    def dense(self) -> bool:
        """Whether all weights are in use."""
        return all(mask.dense for mask in self._masks.values())

    @property
    def mask(self) -> dict[str, NDArray[np.bool_]]:
        """Copies of the masks that the next forward pass uses, True where a weight is kept."""
        return {
            key: mask.settle(self._original(key)).cpu().numpy() for key, mask in self._masks.items()
        }

    @property
    def resets(self) -> int:
        """Number of times that thresholds were reset to 0 to keep a layer from being emptied."""
        return sum(int(mask.get_buffer("resets")) for mask in self._masks.values())

    def arrays(self, *, dense: bool = False) -> dict[str, NDArray[np.float32]]:
        """Return the parameters with the network's names without masks.

        Pruned weights are +0.0; with ``dense`` they have their kept values.
        """
        masks = {} if dense else self.mask
        found = {}
        for name, weight in self._weights():
            array = np.array(weight.detach().cpu().numpy(), dtype=np.float32, order="C")
            found[name] = np.where(masks[name], array, np.float32(0)) if name in masks else array
        return found

    def load_arrays(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Write parameters under the names of ``arrays``, bit for bit; thresholds stay."""
        restore(dict(self._weights()), arrays)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the tensors of weights, thresholds, masks and phase."""
        return self.network.state_dict()

    def load_state_dict(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Restore the state from the arrays of ``state_dict``, bit for bit.

        Raises DataError, and changes nothing, if a name is missing or unknown or a shape differs.
        """
        restore(self.state_dict(), state)

    def regrow(self) -> None:
        """Begin a dense phase: every weight is in use, pruned ones with their old values."""
        for mask in self._masks.values():
            mask.get_buffer("dense").fill_(True)

    def restart(self) -> None:
        """Continue pruning from thresholds of 0."""
        for mask in self._masks.values():
            mask.get_buffer("dense").fill_(False)
            mask.restart()

    def _weights(self) -> Iterator[tuple[str, Tensor]]:
        """Yield the parameters under the names and in the order of the network without masks."""
        for name in self._names:
            masked = name in self._layers
            yield name, self._original(name) if masked else self.network.get_parameter(name)

    def _original(self, key: str) -> Tensor:
        module, name = self._layers[key]
        original: Tensor = module.get_parameter(f"parametrizations.{name}.original")
        return original


def _channel_axis(module: nn.Module, key: str) -> int:
    """Return the axis of output channels: 1 for transposed convolutions, 0 for all other layers."""
    if not isinstance(module, TRANSPOSED):
        return 0
    if module.groups > 1:
        raise ConfigError(f"{key} has {module.groups} groups: only 1 can be masked")
    return 1
