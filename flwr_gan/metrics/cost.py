"""Cost of a generator: multiply-accumulates per sample, and samples per second.

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
    """A function of latent vectors and labels that returns samples."""

    latent_dim: int

    def __call__(self, z_BL: Tensor, y_B: Tensor, /) -> Tensor: ...  # noqa: D102

    def parameters(self) -> Iterator[torch.nn.Parameter]: ...  # noqa: D102


@dataclass(frozen=True)
class Macs:
    """Multiply-accumulates for one sample."""

    dense: int  # all, including those with padding
    sparse: int  # without those by a zero weight


def count_macs(generator: LatentGenerator) -> Macs:
    """Count the multiply-accumulates of matrix products and convolutions for one sample.

    They are counted from PyTorch's operations, for any layers, with the formulas of
    ``torch.utils.flop_counter``. Additions of biases and activations are not counted. A weight that
    is computed from others in the forward pass is dense, and its computation counts too.
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
        """Return the nonzero share of the operation's weight, which may be a view."""
        matrices = (item for item in operands if isinstance(item, Tensor) and item.ndim > 1)
        for operand in matrices:
            if operand.untyped_storage().data_ptr() in self._weights:
                return int(torch.count_nonzero(operand)) / operand.numel()
        return 1.0


def _returning(operation: Any) -> Any:
    """Return the out-of-place version of an operation that overwrites its first operand."""
    return getattr(torch.ops.aten, operation.__name__.removesuffix("_"), operation)


def samples_per_second(
    generators: Sequence[LatentGenerator], *, batch_size: int = 64, repeats: int = 9
) -> list[float]:
    """Return each generator's samples per second on one processor thread.

    Seconds are CPU time of this thread, equal to wall time on a core that does nothing else. The
    generators take turns, so that a change of the machine's speed affects all equally; the median
    of the runs after a warm-up is taken. Zeros are multiplied like any other number. Raises
    ConfigError if ``batch_size`` or ``repeats`` is below 1.
    """
    for key, value in (("batch_size", batch_size), ("repeats", repeats)):
        checked(key, value, Count)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # with more, this thread's time would lack the work of the others
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
