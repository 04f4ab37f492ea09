"""Sparse against dense products, layer by layer, and the densities at which they break even.

``python -m experiments.benchmarks.sparse_layers [--short] [--output FILE]`` measures on one core.
``samples`` is a forward pass without gradients, ``learning`` one with the gradients of input and
weight. All ways take turns; masks are random; a row has medians of processor time. In ``samples``
the dense convolution has its channels last if that is faster. ``chosen`` is the choice of
``flwr_gan.gan.sparse_layers``, whose constants come from this table.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from functools import partial
from itertools import product
from statistics import median

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from experiments.benchmarks.output import in_turn, processor_s, run_benchmark
from flwr_gan.gan import torch_threads
from flwr_gan.gan.sparse_layers import frozen_weights, largest_density, sparse_layers

LAYERS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "paper fc": (nn.Linear(103, 2560, bias=False), (103,)),
    "paper conv1": (nn.Conv1d(256, 128, 3, padding=1, bias=False), (256, 10)),
    "paper conv2": (nn.Conv1d(128, 3, 3, padding=1, bias=False), (128, 10)),
    "small fc": (nn.Linear(42, 512, bias=False), (42,)),
    "small conv1": (nn.Conv1d(64, 32, 3, padding=1, bias=False), (64, 8)),
    "small conv2": (nn.Conv1d(32, 8, 3, padding=1, bias=False), (32, 8)),
    "dcgan 1": (nn.ConvTranspose2d(110, 128, 4), (110, 1, 1)),
    "dcgan 3": (nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1), (64, 8, 8)),
    "dcgan 5": (nn.ConvTranspose2d(16, 1, 4, stride=2, padding=1), (16, 32, 32)),
}
SHORT = ("paper fc", "paper conv1", "paper conv2")
DENSITIES = (0.5, 0.35, 0.25, 0.18, 0.125, 0.09, 0.06, 0.03)
BATCH_SIZES = (64, 256)


def measure_all(options: argparse.Namespace) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the table of all layers, batch sizes and densities."""
    names, sizes, repeats = (SHORT, (256,), 3) if options.short else (LAYERS, BATCH_SIZES, 11)
    places = product(names, sizes, DENSITIES)
    with torch_threads(1):
        found = [measure(*place, repeats=repeats) for place in places]
    yield "", pd.DataFrame([row for rows in found for row in rows])


def measure(name: str, batch_size: int, density: float, *, repeats: int) -> list[dict[str, object]]:
    """Return the rows ``samples`` and ``learning`` of a layer that keeps a share ``density``."""
    layer, shape = LAYERS[name]
    rng = torch.Generator().manual_seed(0)
    weight = layer.get_parameter("weight")
    pruned = {"weight": torch.rand(weight.shape, generator=rng) >= density}
    with torch.no_grad():
        weight.normal_(generator=rng).masked_fill_(pruned["weight"], 0)
    sparse = deepcopy(layer)
    x = torch.randn((batch_size, *shape), generator=rng)
    columns = x.flatten(1).T.contiguous().T.view_as(x)  # layout of a sparse layer's output
    rows = []
    with sparse_layers(sparse, pruned, choose=_all), frozen_weights(sparse):
        ways = {"dense": lambda: layer(x), "sparse": lambda: sparse(columns)}
        if isinstance(layer, nn.Conv1d):
            ways["channels_last"] = _channels_last(layer, x)
        rows.append({"pass": "samples", **_times(ways, repeats)})
    with sparse_layers(sparse, pruned, choose=_all):
        ways = {"dense": lambda: _learn(layer, x), "sparse": lambda: _learn(sparse, columns)}
        rows.append({"pass": "learning", **_times(ways, repeats)})
    kept = {"layer": name, "batch_size": batch_size, "density": density}
    return [kept | row | {"chosen": density <= largest_density(layer)} for row in rows]


def _all(layers: Mapping[str, nn.Module], pruned: Mapping[str, Tensor]) -> set[str]:
    return set(layers) & set(pruned)


def _learn(layer: nn.Module, x: Tensor) -> None:
    with torch.enable_grad():
        out = layer(x.requires_grad_())
        torch.autograd.grad(out, [x, layer.get_parameter("weight")], torch.ones_like(out))


def _channels_last(layer: nn.Conv1d, x_BCT: Tensor) -> Callable[[], Tensor]:
    """Return the convolution as one of images one pixel high, as in ``FrozenGenerator``."""
    last = torch.channels_last
    images = x_BCT.unsqueeze(2).contiguous(memory_format=last)
    weight = layer.weight.detach().unsqueeze(2).contiguous(memory_format=last)
    return lambda: functional.conv2d(images, weight, padding=(0, layer.kernel_size[0] // 2))


def _times(ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the milliseconds of the faster dense way and of the sparse one, and their ratio."""
    with torch.no_grad():
        timed = {name: partial(processor_s, way) for name, way in ways.items()}
        seconds = in_turn(timed, repeats)
    sparse_ms = 1000 * median(seconds.pop("sparse"))
    dense_ms = 1000 * min(median(measured) for measured in seconds.values())
    return {"dense_ms": dense_ms, "sparse_ms": sparse_ms, "ratio": dense_ms / sparse_ms}


main = partial(
    run_benchmark, "sparse_layers", __doc__, measure_all,
    short="the paper's layers, one batch size, fewer repeats",
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
