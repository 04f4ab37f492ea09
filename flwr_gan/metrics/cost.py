"""What a generator costs to keep and to run, computed from its weights."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class GeneratorCost:
    """Size of a generator and work for one sample, dense and where zeros are skipped.

    Parameters
    ----------
    parameters : int
        Number of weights.
    nonzero : int
        Weights that are not zero.
    dense_macs : int
        Multiply-accumulate operations for one sample.
    sparse_macs : int
        The same, with those by a zero weight left out.
    """

    parameters: int
    nonzero: int
    dense_macs: int
    sparse_macs: int


def generator_cost(arrays: Mapping[str, NDArray[np.float32]], *, num_vectors: int) -> GeneratorCost:
    """Count weights and multiply-accumulate operations of a generator.

    A fully connected weight (2 axes) works once a sample, a convolution weight (3 axes) once for
    each of the T vectors; the padding at both ends counts like any other vector.

    Parameters
    ----------
    arrays : mapping from str to ndarray
        Weights by name.
    num_vectors : int
        T.
    """
    uses = {name: num_vectors if array.ndim == 3 else 1 for name, array in arrays.items()}
    nonzero = {name: int(np.count_nonzero(array)) for name, array in arrays.items()}
    return GeneratorCost(
        parameters=sum(array.size for array in arrays.values()),
        nonzero=sum(nonzero.values()),
        dense_macs=sum(arrays[name].size * count for name, count in uses.items()),
        sparse_macs=sum(nonzero[name] * count for name, count in uses.items()),
    )
