"""Multiply-accumulates of a generator for one sample, counted while it runs.

B batch of 1, L latent.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class LatentGenerator(Protocol):
    """What turns latent vectors and labels into samples."""

    latent_dim: int

    def __call__(self, z_BL: Tensor, y_B: Tensor, /) -> Tensor: ...  # noqa: D102

    def parameters(self) -> Iterator[torch.nn.Parameter]: ...  # noqa: D102


@dataclass(frozen=True)
class Macs:
    """Multiply-accumulates for one sample."""

    dense: int  # all of them, those with the padding included
    sparse: int  # without those by a weight that is zero


def count_macs(generator: LatentGenerator) -> Macs:
    """Count the multiply-accumulates of matrix products and convolutions for one sample.

    Counted from the operations that PyTorch runs, whatever the layers, with the formulas of
    ``torch.utils.flop_counter``. Additions of biases and activations are not counted. A weight
    that is computed from others while the generator runs is dense, and computing it counts too.
    """
    weights = list(generator.parameters())
    z_BL = torch.zeros(1, generator.latent_dim, device=weights[0].device)
    y_B = torch.zeros(1, dtype=torch.int64, device=weights[0].device)
    with torch.no_grad(), _Counter(weights) as counter:
        generator(z_BL, y_B)
    return Macs(dense=round(counter.dense), sparse=round(counter.sparse))


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, weights: list[torch.nn.Parameter]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.dense = self.sparse = 0.0
        self._weights = {weight.untyped_storage().data_ptr() for weight in weights}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(_returning(func._overloadpacket))
        if formula is not None:
            macs = formula(*args, **(kwargs or {}), out_val=out) / 2  # two operations each
            self.dense += macs
            self.sparse += macs * self._kept(args)
        return out

    def _kept(self, operands: Any) -> float:
        """Return the share of the operation's weight that is not zero; a view is the weight too."""
        matrices = (item for item in operands if isinstance(item, Tensor) and item.ndim > 1)
        for operand in matrices:
            if operand.untyped_storage().data_ptr() in self._weights:
                return int(torch.count_nonzero(operand)) / operand.numel()
        return 1.0


def _returning(operation: Any) -> Any:
    """Return the operation that gives a new tensor, for one that overwrites its first operand."""
    return getattr(torch.ops.aten, operation.__name__.removesuffix("_"), operation)
