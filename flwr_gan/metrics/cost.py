"""What a generator costs: multiply-accumulates for one sample, and samples per second.

B batch, L latent.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from flwr_gan.core.settings import Count, checked


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


def samples_per_second(
    generators: Sequence[LatentGenerator], *, batch_size: int = 64, repeats: int = 9
) -> list[float]:
    """Return the samples per second that each generator makes, on one thread of the processor.

    Seconds are those of this thread, which are the clock's on a core that does nothing else. The
    generators take turns, so that a change of the machine's speed hits all alike; the median of the
    runs is taken, after one that warms up. Zeros are multiplied like any other number. Raises
    ConfigError if ``batch_size`` or ``repeats`` is below 1.
    """
    for key, value in (("batch_size", batch_size), ("repeats", repeats)):
        checked(key, value, Count)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # with more, the work of the others would not be in this one's time
    try:
        y_B = torch.zeros(batch_size, dtype=torch.int64)
        rng = torch.Generator().manual_seed(0)
        latents = [torch.randn(batch_size, g.latent_dim, generator=rng) for g in generators]
        seconds: list[list[float]] = [[] for _ in generators]
        with torch.no_grad():
            for run in range(repeats + 1):
                for generator, z_BL, spent in zip(generators, latents, seconds, strict=True):
                    started = time.thread_time()
                    generator(z_BL, y_B)
                    if run:
                        spent.append(time.thread_time() - started)
    finally:
        torch.set_num_threads(threads)
    return [batch_size / max(median(spent), 1e-9) for spent in seconds]
