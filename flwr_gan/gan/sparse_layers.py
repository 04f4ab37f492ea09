"""Heavily pruned layers, computed as products with sparse matrices.

A linear layer, a convolution and a transposed convolution are each a matrix that maps features of a
sample to features; few surviving weights give few entries. Samples are the columns of the other
factor: each entry then adds a multiple of one row to another, which a core does at full vector
width. A layer's output has the usual shape on that memory, so that the next layer reads its columns
without a copy.

B batch, I input features, O output features, N surviving weights, E entries of the matrix.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from flwr_gan.gan.sparse_matrix import TRANSPOSED, Entries, layer_entries, output_size

# `python -m experiments.benchmarks.sparse_layers` measures where sparse products are faster.
LARGEST_DENSITY = 1 / 10
LARGEST_DENSITY_LINEAR = 1 / 16
LARGEST_DENSITY_NARROW = 1 / 2
NARROW_CHANNELS = 8
"""Dense convolutions from or to this many channels or fewer are slow for their size."""
SMALLEST_LINEAR = 2**16
"""Weights, pruned or not, below which a linear layer is too small to gain."""

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)


def faster_layers(layers: Mapping[str, nn.Module], pruned: Mapping[str, Tensor]) -> set[str]:
    """Return the names of the layers that are faster as sparse products, by shape and density.

    There are none if only narrow convolutions would be faster: next to a wide one in its own memory
    format they gain nothing. ``layers`` are linear layers and convolutions by the name of their
    weight; ``pruned`` is True where a weight is pruned.
    """
    found = {
        name
        for name, layer in layers.items()
        if int((~pruned[name]).count_nonzero()) <= largest_density(layer) * pruned[name].numel()
    }
    wide = any(largest_density(layers[name]) < LARGEST_DENSITY_NARROW for name in found)
    return found if wide else set()


def largest_density(layer: nn.Module) -> float:
    """Return the share of surviving weights up to which a sparse product is faster."""
    weight = layer.get_parameter("weight")
    if type(layer) is nn.Linear:
        return LARGEST_DENSITY_LINEAR if weight.numel() >= SMALLEST_LINEAR else 0.0
    narrow = min(weight.shape[:2]) <= NARROW_CHANNELS
    return LARGEST_DENSITY_NARROW if narrow else LARGEST_DENSITY


@contextmanager
def sparse_layers(
    network: nn.Module,
    pruned: Mapping[str, Tensor],
    *,
    choose: Callable[[Mapping[str, nn.Module], Mapping[str, Tensor]], set[str]] = faster_layers,
) -> Iterator[None]:
    """Compute layers of a network by sparse products inside the context, where faster.

    Outputs, gradients of inputs and gradients of surviving weights equal those of the dense layers
    up to rounding; pruned weights get gradients of zero. The choice depends only on shapes and
    masks, so it is the same in every process. Layers on another device than the CPU stay dense, as
    do grouped convolutions and weights that are parametrised or not float32. A nested context has
    no effect. Weights may change inside the context, but ``pruned`` (True) weights stay zero; a
    parameter without an entry there has none. ``choose`` returns the layers that become sparse
    products.
    """
    if has_sparse_layers(network):
        yield
        return
    changed: list[nn.Module] = []
    layers = {
        f"{name}.weight" if name else "weight": layer
        for name, layer in network.named_modules()
        if _can_be_sparse(layer)
    }
    sparse = choose({name: layer for name, layer in layers.items() if name in pruned}, pruned)
    try:
        for name, layer in layers.items():
            if name in sparse:
                _silence_beta()
                layer.__dict__["forward"] = _SparseLayer(layer, pruned[name])
            elif sparse and type(layer) is nn.Linear:
                layer.__dict__["forward"] = partial(_samples_as_columns, layer)
            else:
                continue
            changed.append(layer)
        yield
    finally:
        for layer in changed:
            del layer.__dict__["forward"]


def zero_weights(network: nn.Module) -> dict[str, Tensor]:
    """Return masks of the zero parameters of a network, for ``sparse_layers``."""
    return {name: weight.detach() == 0 for name, weight in network.named_parameters()}


def has_sparse_layers(network: nn.Module) -> bool:
    """Return whether a ``sparse_layers`` context is active for a layer of this network."""
    return any("forward" in layer.__dict__ for layer in network.modules())


@contextmanager
def frozen_weights(network: nn.Module) -> Iterator[None]:
    """Build the matrices of a network's sparse layers once, for many calls in the context.

    The weights must not change inside, and nothing gets a gradient.
    """
    forwards = [layer.__dict__.get("forward") for layer in network.modules()]
    layers = [forward for forward in forwards if isinstance(forward, _SparseLayer)]
    try:
        for layer in layers:
            layer.matrices = {}
        with torch.no_grad():
            yield
    finally:
        for layer in layers:
            layer.matrices = None


class _SparseLayer:
    """Computes a layer with the current values of its weight.

    ``matrices`` holds the matrices of a frozen weight by input size; None: the weight may change.
    """

    def __init__(self, layer: Any, pruned: Tensor) -> None:
        self.matrices: dict[tuple[int, ...], Tensor] | None = None
        self._layer = layer
        self._kept_N = (~pruned).flatten().nonzero().squeeze(1)
        self._entries: dict[tuple[int, ...], Entries] = {}

    def __call__(self, x: Tensor) -> Tensor:
        size = tuple(x.shape[2:])
        if size not in self._entries:
            self._entries[size] = layer_entries(self._layer, self._kept_N, size)
        entries, weight = self._entries[size], self._layer.weight
        x_IB = x.flatten(1).T.contiguous()
        if self.matrices is None:
            out_OB: Tensor = _Product.apply(x_IB, weight, entries)  # type: ignore[no-untyped-call]
        else:
            if size not in self.matrices:
                self.matrices[size] = entries.matrix(weight)
            out_OB = _product(self.matrices[size], x_IB)
        out = out_OB.T.view(len(x), -1, *output_size(self._layer, size))
        if self._layer.bias is not None:
            out = out + self._layer.bias.view(-1, *[1] * len(size))
        return out


class _Product(torch.autograd.Function):
    """The product of a layer's matrix with samples as columns, and its gradients."""

    @staticmethod
    def forward(ctx: Any, x_IB: Tensor, weight: Tensor, entries: Entries) -> Tensor:
        ctx.save_for_backward(x_IB, weight)
        ctx.entries = entries
        return _product(entries.matrix(weight), x_IB)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x_IB, weight = ctx.saved_tensors
        entries: Entries = ctx.entries
        to_OB = gradients[0].contiguous()
        to_x = to_weight = None
        if ctx.needs_input_grad[0]:
            to_x = _product(entries.transposed.matrix(weight), to_OB)
        if ctx.needs_input_grad[1]:
            to_matrix = torch.sparse.sampled_addmm(entries.matrix(weight), to_OB, x_IB.T, beta=0.0)
            to_weight = torch.zeros_like(weight, memory_format=torch.contiguous_format)
            to_weight.view(-1).index_add_(0, entries.weight_E, to_matrix.values())
        return to_x, to_weight, None


def _product(matrix_OI: Tensor, x_IB: Tensor) -> Tensor:
    """Multiply by a CSR matrix with PyTorch's own kernel, whose sums have a fixed order.

    A named reduction selects this kernel; without it a library computes the product.
    """
    product: Tensor = torch.sparse.mm(matrix_OI, x_IB, "sum")
    return product


@cache
def _silence_beta() -> None:
    """Trigger and drop PyTorch's single warning about sparse matrices."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        torch.eye(1).to_sparse_csr()


def _can_be_sparse(layer: nn.Module) -> bool:
    """Return whether this is a PyTorch layer with a plain float32 weight on the CPU."""
    weight = dict(layer.named_parameters(recurse=False)).get("weight")
    if weight is None or weight.device.type != "cpu" or weight.dtype != torch.float32:
        return False
    if type(layer) in _CONVOLUTIONS:
        padded = layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
        return bool(padded and layer.groups == 1)
    return type(layer) is nn.Linear


def _samples_as_columns(layer: nn.Linear, x_BI: Tensor) -> Tensor:
    """Compute a dense layer whose output has samples as columns in memory."""
    if layer.bias is None:
        return (layer.weight @ x_BI.T).T
    return torch.addmm(layer.bias.unsqueeze(1), layer.weight, x_BI.T).T
