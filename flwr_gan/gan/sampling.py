"""Samples from a generator. B batch, N samples, L latent, T vectors, C components."""

import numpy as np
import torch
from numpy.typing import NDArray

from flwr_gan.errors import DataError
from flwr_gan.gan.frozen_generator import FrozenGenerator
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.gan.sparse_layers import sparse_layers, zero_weights


def sample(
    generator: SampleGenerator,
    y_N: NDArray[np.int64],
    *,
    rng: torch.Generator,
    batch_size: int = 1024,
) -> NDArray[np.float32]:
    """Generate one sample for each label.

    Parameters
    ----------
    generator : SampleGenerator
        Weights to sample from; not changed.
    y_N : ndarray of int64
        Class labels.
    rng : torch.Generator
        Source of the latent vectors, z from N(0, I); advances.
    batch_size : int
        Samples made at a time. The latent vectors do not depend on it.

    Returns
    -------
    ndarray of float32, shape (N, T, C), in [-1, 1]

    Raises
    ------
    DataError
        If a label is not one of the generator's classes.
    """
    labels_N = torch.from_numpy(np.array(y_N, dtype=np.int64))
    check_labels(labels_N, generator.num_classes)
    device = next(generator.parameters()).device
    z_NL = torch.randn(len(labels_N), generator.latent_dim, generator=rng, device=rng.device)
    shape = (len(labels_N), generator.num_vectors, generator.num_components)
    x_NTC = np.empty(shape, dtype=np.float32)
    with sparse_layers(generator, zero_weights(generator)):
        frozen = FrozenGenerator(generator)
        for start in range(0, len(labels_N), batch_size):
            part = slice(start, start + batch_size)
            x_BTC = frozen(z_NL[part].to(device), labels_N[part].to(device))
            x_NTC[part] = x_BTC.cpu().numpy()
    return x_NTC


def check_labels(labels_N: torch.Tensor, num_classes: int) -> None:
    """Raise a DataError that names the first label outside 0 ... num_classes - 1."""
    wrong = labels_N[(labels_N < 0) | (labels_N >= num_classes)]
    if len(wrong):
        raise DataError(f"label {int(wrong[0])} is unknown: labels are 0 to {num_classes - 1}")
