"""Floating-point operations of a training, computed from the sizes of its layers.

A multiply-accumulate counts as two operations; biases, activations, normalisation, masks and the
optimiser are not counted. Nothing is measured: on a machine without sparse kernels, masked layers
cost as much as dense ones.

B batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flwr_gan.gan import GanConfig

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d)
_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, *_TRANSPOSED)

Macs = dict[str, int]


@dataclass(frozen=True)
class UpdateFlops:
    """Operations of one generator update with its critic updates."""

    dense: float  # all operations
    # without products with masked weights, forwards and backwards; also without the gradients of
    # masked weights unless thresholds are trained, which need them
    masked: float


def layer_macs(network: nn.Module, *inputs: Tensor) -> Macs:
    """Return the multiply-accumulates of each layer's weight for inputs of one sample."""
    found: Macs = {}

    def watch(name: str, layer: nn.Module) -> torch.utils.hooks.RemovableHandle:
        def count(_: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
            places = given[0] if isinstance(layer, _TRANSPOSED) else out
            positions = 1 if isinstance(layer, nn.Linear) else places[0, 0].numel()
            found[f"{name}.weight"] = positions * layer.get_parameter("weight").numel()

        return layer.register_forward_hook(count)

    hooks = [watch(name, m) for name, m in network.named_modules() if isinstance(m, _LAYERS)]
    with torch.no_grad():
        network(*inputs)
    for hook in hooks:
        hook.remove()
    return found


def update_flops(
    generator: Macs,
    critic: Macs,
    kept: Mapping[str, Mapping[str, float]],
    config: GanConfig,
    *,
    penalised: bool,
    trained_masks: bool,
) -> UpdateFlops:
    """Return the operations of one generator update and its R critic updates.

    ``kept`` is the share of kept weights, by ``"generator"`` and ``"critic"``, then by layer;
    missing layers are dense. With ``trained_masks``, the gradients of masked weights are needed for
    their thresholds.
    """
    R = config.critic_iterations
    dense = masked = 0.0
    for network, macs in (("generator", generator), ("critic", critic)):
        for at, (name, count) in enumerate(macs.items()):
            first, last = at == 0, at == len(macs) - 1
            if network == "generator":
                products, gradients = R + 1 + (not first), 1
            else:
                products = R * 2 * (1 + (not first)) + 2
                gradients = R * 2
                if penalised:  # forward pass and slope, then backwards through both
                    products += R * (2 + (not last) * (1 + (not first)))
                    gradients += R * (1 + (not last))
            share = kept.get(network, {}).get(name, 1.0)
            operations = 2.0 * config.batch_size * count
            dense += operations * (products + gradients)
            masked += operations * (
                products * share + gradients * (1.0 if trained_masks else share)
            )
    return UpdateFlops(dense, masked)
