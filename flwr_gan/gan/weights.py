"""Conversion of a network's weights to named numpy arrays, and back."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from flwr_gan.core.tree import leaves
from flwr_gan.errors import DataError

Arrays = dict[str, NDArray[np.float32]]


def network_arrays(network: nn.Module) -> Arrays:
    """Return copies of a network's parameters, in order, as contiguous float32 arrays."""
    return {
        name: np.array(weight.detach().cpu().numpy(), dtype=np.float32, order="C")
        for name, weight in network.named_parameters()
    }


def load_network_arrays(network: nn.Module, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Write named arrays into a network's parameters, bit for bit.

    Raises DataError, and changes nothing, if a name is missing or unknown or a shape differs.
    """
    restore(dict(network.named_parameters()), arrays)


def restore(tensors: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Write a tree of arrays into a tree of tensors, bit for bit.

    Raises DataError, and changes nothing, if a name is missing or unknown or a shape differs.
    """
    own, given = dict(leaves(tensors)), dict(leaves(arrays))
    check_arrays(given, {name: tuple(tensor.shape) for name, tensor in own.items()})
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(as_tensor(given[name]).view(tensor.shape))


def check_arrays(
    arrays: Mapping[str, NDArray[np.generic]], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Raise a DataError that names the first array that is missing, unknown or of another shape."""
    for name in [*shapes, *arrays]:
        if name not in arrays:
            raise DataError(f"array {name!r} is missing: these are needed: {', '.join(shapes)}")
        if name not in shapes:
            raise DataError(f"array {name!r} is unknown: these are needed: {', '.join(shapes)}")
        if tuple(arrays[name].shape) != shapes[name]:
            got = tuple(arrays[name].shape)
            raise DataError(f"array {name!r} has shape {got}: {shapes[name]} is needed")


def as_tensor(array: NDArray[np.generic]) -> Tensor:
    """Copy an array into a new tensor; the array may be read-only or non-contiguous."""
    return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))
