"""Sampling from a generator with fixed weights.

B batch, N samples, L latent, K classes, T vectors, C components, H channels.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from flwr_gan.core.heap import keep_freed_memory
from flwr_gan.errors import DataError
from flwr_gan.gan.networks import Generator, SampleGenerator
from flwr_gan.gan.sparse_layers import (
    frozen_weights,
    has_sparse_layers,
    sparse_layers,
    zero_weights,
)


def sample(
    generator: SampleGenerator,
    y_N: NDArray[np.int64],
    *,
    rng: torch.Generator,
    batch_size: int = 1024,
) -> NDArray[np.float32]:
    """Return one sample for each label, float32 (N, T, C[, channels]) in [-1, 1].

    Latent vectors z from N(0, I) are drawn by ``rng``, independently of ``batch_size``, the number
    of samples made at a time. Raises DataError if a label is not one of the generator's classes.
    """
    labels_N = torch.from_numpy(np.array(y_N, dtype=np.int64))
    check_labels(labels_N, generator.num_classes)
    device = next(generator.parameters()).device
    z_NL = torch.randn(len(labels_N), generator.latent_dim, generator=rng, device=rng.device)
    x_NTC = np.empty((len(labels_N), *generator.sample_shape), dtype=np.float32)
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


VALUES_AT_A_TIME = 2**19  # of the first layer's output: 2 MiB stay in the cache and are reused
SAMPLES_AT_A_TIME = 256  # with more columns a sparse product is hardly faster
_PARAMETERS = ["fc.weight", "conv1.weight", "conv2.weight"]


def is_plain(generator: SampleGenerator) -> bool:
    """Return whether this is a ``Generator`` without mask, norm or hook on its layers."""
    names = [name for name, _ in generator.named_parameters()]
    hooks = any(layer._forward_hooks for layer in generator.children())
    return type(generator) is Generator and names == _PARAMETERS and not hooks


class FrozenGenerator:
    """A faster equivalent of a generator with fixed weights, equal up to rounding.

    For a plain ``Generator``, it looks up labels in the columns of the first layer instead of
    multiplying one-hot rows, keeps the channels of a vector contiguous, which is fastest for
    convolutions, and overwrites arrays that are no longer needed. A generator with sparse layers is
    called with a few samples at a time, any other is simply called.
    """

    def __init__(self, generator: SampleGenerator) -> None:
        keep_freed_memory()
        self._generator = generator
        self._sparse = has_sparse_layers(generator)
        self._plain = is_plain(generator) and not self._sparse
        if self._plain:
            fc, *convolutions = [w.detach() for w in generator.parameters()]
            fc_HTL = fc.view(-1, generator.num_vectors, fc.shape[1])
            fc = fc_HTL.transpose(0, 1).flatten(0, 1)  # vector by vector
            self._fc, self._label_KH = fc[:, : generator.latent_dim], fc[:, generator.latent_dim :]
            self._label_KH = self._label_KH.T.contiguous()
            # a convolution of images one pixel high: only images can have their channels last
            self._convolutions = [
                w.unsqueeze(2).contiguous(memory_format=torch.channels_last) for w in convolutions
            ]

    def __call__(self, z_BL: Tensor, y_B: Tensor) -> Tensor:
        """Generate ``x_BTC`` from latent vectors and int64 class labels."""
        if self._plain:
            rows, make = max(1, VALUES_AT_A_TIME // len(self._fc)), self._part
        else:
            rows, make = SAMPLES_AT_A_TIME if self._sparse else len(z_BL), self._generator
        parts = zip(torch.split(z_BL, rows), torch.split(y_B, rows), strict=True)
        with frozen_weights(self._generator):
            return torch.cat([make(z, y) for z, y in parts])

    def _part(self, z_BL: Tensor, y_B: Tensor) -> Tensor:
        # index_select copies whole rows, several times faster than indexing does
        h = self._label_KH.index_select(0, y_B).addmm_(z_BL, self._fc.T).relu_()
        h = h.view(len(h), self._generator.num_vectors, -1).transpose(1, 2).unsqueeze(2)
        conv1, conv2 = self._convolutions
        padding = (0, conv1.shape[3] // 2)
        h = functional.conv2d(h, conv1, padding=padding).relu_()
        return functional.conv2d(h, conv2, padding=padding).tanh_().squeeze(2).transpose(1, 2)
