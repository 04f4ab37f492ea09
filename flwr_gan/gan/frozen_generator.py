"""The generator between two of its own updates: it makes many samples and nothing learns.

B samples, L latent, K classes, T vectors, C components, H channels.
"""

import torch
from torch import Tensor
from torch.nn import functional

from flwr_gan.core.heap import keep_freed_memory
from flwr_gan.gan.networks import Generator, SampleGenerator
from flwr_gan.gan.sparse_layers import frozen_weights, has_sparse_layers

VALUES_AT_A_TIME = 2**19  # of the first layer's output: 2 MiB stay in the cache and are reused
SAMPLES_AT_A_TIME = 256  # columns that a sparse product is about as fast with as it gets
_PARAMETERS = ["fc.weight", "conv1.weight", "conv2.weight"]


def is_plain(generator: SampleGenerator) -> bool:
    """Return whether its weights are those of a ``Generator``, with no mask or norm on them."""
    names = [name for name, _ in generator.named_parameters()]
    return type(generator) is Generator and names == _PARAMETERS


class FrozenGenerator:
    """Generates what a generator would, up to rounding, as long as its weights stay.

    A plain ``Generator`` looks the labels up in the columns of its first layer instead of
    multiplying one-hot rows, keeps the channels of a vector side by side, which convolutions are
    fastest at, and overwrites what it does not need again. One with sparse layers is called with
    some samples at a time, any other is just called.
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
