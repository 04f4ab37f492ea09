"""Positions of a layer's weights in its matrix.

A linear layer, a convolution and a transposed convolution each multiply the features of a sample by
a matrix, in which every weight occurs once per pair of positions that it connects.

E entries of the matrix, N surviving weights, K positions of the kernel, S of the smaller grid.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass(frozen=True)
class Entries:
    """A sparse matrix without its values."""

    row_starts: Tensor  # int64, rows as in CSR
    column_E: Tensor  # int64
    weight_E: Tensor  # index of the entry's weight in the flat weight, int64
    shape: tuple[int, int]

    @classmethod
    def sorted(
        cls, row_E: Tensor, column_E: Tensor, weight_E: Tensor, shape: tuple[int, int]
    ) -> "Entries":
        """Sort entries by row."""
        order_E = (row_E * shape[1] + column_E).argsort()
        row_starts = torch.zeros(shape[0] + 1, dtype=torch.int64)
        row_starts[1:] = torch.bincount(row_E, minlength=shape[0]).cumsum(0)
        return cls(row_starts, column_E[order_E], weight_E[order_E], shape)

    @cached_property
    def transposed(self) -> "Entries":
        """The entries of the transposed matrix."""
        row_E = torch.arange(self.shape[0]).repeat_interleave(self.row_starts.diff())
        return Entries.sorted(self.column_E, row_E, self.weight_E, self.shape[::-1])

    def matrix(self, weight: Tensor) -> Tensor:
        """Return the matrix, float32 in CSR, with the current values of a weight."""
        value_E = weight.detach().flatten().index_select(0, self.weight_E)
        return torch.sparse_csr_tensor(
            self.row_starts, self.column_E, value_E, self.shape, check_invariants=False
        )


def layer_entries(layer: nn.Module, kept_N: Tensor, size: tuple[int, ...]) -> Entries:
    """Return the entries of a layer's matrix, from input features to output features.

    A convolution maps a large grid to a small one, a transposed one the reverse. Both have the
    channels of the small grid on the first axis of the weight and those of the large on the second,
    and connect the same pairs of positions; a linear layer has grids of one position. ``kept_N``
    are indices of the surviving weights in the flat weight; ``size`` are the positions of the input
    along each axis, () for a linear layer.
    """
    transposed = isinstance(layer, TRANSPOSED)
    found = output_size(layer, size)
    small, large = (size, found) if transposed else (found, size)
    large_KS = _connected(layer, small, large)
    K, S = large_KS.shape
    G = math.prod(large)
    weight: Any = layer.weight  # a plain tensor if another tensor replaces the parameter
    of_small, of_large = weight.shape[:2]
    large_NS = large_KS[kept_N % K]
    row_NS = (kept_N // (of_large * K)).unsqueeze(1) * S + torch.arange(S)
    column_NS = (kept_N // K % of_large).unsqueeze(1) * G + large_NS
    inside_NS = large_NS >= 0
    row_E, column_E = row_NS[inside_NS], column_NS[inside_NS]
    weight_E = kept_N.unsqueeze(1).expand_as(large_NS)[inside_NS]
    shape = (of_small * S, of_large * G)
    if transposed:
        return Entries.sorted(column_E, row_E, weight_E, shape[::-1])
    return Entries.sorted(row_E, column_E, weight_E, shape)


def output_size(layer: Any, size: tuple[int, ...]) -> tuple[int, ...]:
    """Return the output size of a layer along each axis, given the input size."""
    found = []
    for axis, length in enumerate(size):
        reach = layer.dilation[axis] * (layer.kernel_size[axis] - 1) + 1 - 2 * layer.padding[axis]
        if isinstance(layer, TRANSPOSED):
            grown = (length - 1) * layer.stride[axis] + reach
            found.append(grown + int(layer.output_padding[axis]))
        else:
            found.append((length - reach) // layer.stride[axis] + 1)
    return tuple(found)


def _connected(layer: Any, small: tuple[int, ...], large: tuple[int, ...]) -> Tensor:
    """Return the position of the large grid that is connected to each of the small, shape (K, S).

    -1 if it is outside; positions are counted row by row.
    """
    large_KS = torch.zeros((1, 1), dtype=torch.int64)
    for axis, (few, many) in enumerate(zip(small, large, strict=True)):
        kernel_k1 = torch.arange(layer.kernel_size[axis]).unsqueeze(1) * layer.dilation[axis]
        at_ks = torch.arange(few) * layer.stride[axis] - layer.padding[axis] + kernel_k1
        before_K1S1 = large_KS[:, None, :, None]
        inside = (before_K1S1 >= 0) & ((at_ks >= 0) & (at_ks < many))[:, None]
        large_KS = torch.where(inside, before_K1S1 * many + at_ks[:, None], -1)
        large_KS = large_KS.flatten(2).flatten(0, 1)
    return large_KS
