"""Weights of a network as named numpy arrays, and back."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from flwr_gan.errors import DataError
from flwr_gan.gan.networks import Generator

Arrays = dict[str, NDArray[np.float32]]


def generator_arrays(generator: Generator) -> Arrays:
    """Return copies of ``fc.weight``, ``conv1.weight``, ``conv2.weight``, in this order."""
    return network_arrays(generator)


def load_generator_arrays(generator: Generator, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Write the arrays of ``generator_arrays`` back, bit for bit; raises like its general form."""
    load_network_arrays(generator, arrays)


def network_arrays(network: nn.Module) -> Arrays:
    """Return copies of a network's parameters, in order, as contiguous float32 arrays."""
    return {name: _copy(weight) for name, weight in network.named_parameters()}


def load_network_arrays(network: nn.Module, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Write named arrays into a network's parameters, bit for bit.

    Parameters
    ----------
    network : nn.Module
        Changed in place.
    arrays : mapping from str to ndarray
        One array for each parameter, of its shape.

    Raises
    ------
    DataError
        If a name is missing or unknown, or a shape differs; nothing is changed then.
    """
    parameters = dict(network.named_parameters())
    check_arrays(arrays, {name: tuple(weight.shape) for name, weight in parameters.items()})
    with torch.no_grad():
        for name, weight in parameters.items():
            weight.copy_(as_tensor(arrays[name]))


def buffer_arrays(network: nn.Module) -> dict[str, NDArray[np.generic]]:
    """Return copies of what a network keeps beside its parameters: its persistent buffers.

    One without an axis gets one of length 1, as a transport would give it.
    """
    weights = dict(network.named_parameters())
    return {
        name: np.atleast_1d(value.detach().cpu().numpy().copy())
        for name, value in network.state_dict().items()
        if name not in weights and isinstance(value, Tensor)
    }


def load_buffer_arrays(network: nn.Module, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Write what ``buffer_arrays`` gave back, bit for bit; names and shapes are the caller's."""
    buffers = dict(network.named_buffers())
    with torch.no_grad():
        for name, array in arrays.items():
            buffers[name].copy_(as_tensor(array).view(buffers[name].shape))


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
    """Copy an array into a tensor of its own; the array may be read-only or non-contiguous."""
    return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))


def _copy(weight: Tensor) -> NDArray[np.float32]:
    return np.array(weight.detach().cpu().numpy(), dtype=np.float32, order="C")
