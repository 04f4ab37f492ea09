"""The generator between two of its own updates: it makes many samples and nothing learns.

B samples, L latent, K classes, T vectors, C components, H channels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from flwr_gan.gan.networks import Generator, SampleGenerator

VALUES_AT_A_TIME = 2**19  # of the first layer's output: 2 MiB stay in the cache and are reused
_PARAMETERS = ["fc.weight", "conv1.weight", "conv2.weight"]


def is_plain(generator: SampleGenerator) -> bool:
    """Return whether its weights are those of a ``Generator``, with no mask or norm on them."""
    names = [name for name, _ in generator.named_parameters()]
    return type(generator) is Generator and names == _PARAMETERS


class FrozenGenerator:
    """Generates what a generator would, up to rounding, as long as its weights stay.

    A plain ``Generator`` looks the labels up in the columns of its first layer instead of
    multiplying one-hot rows, keeps the channels of a vector side by side, which convolutions are
    fastest at, and overwrites what it does not need again; any other is just called.

    Parameters
    ----------
    generator : SampleGenerator
        Not changed.
    weights : sequence of Tensor, optional
        To be used in the place of those of a plain generator, in its order.
    """

    def __init__(self, generator: SampleGenerator, weights: Sequence[Tensor] | None = None) -> None:
        self._generator = generator
        self._plain = is_plain(generator)
        if self._plain:
            fc, *convolutions = [w.detach() for w in weights or generator.parameters()]
            fc_HTL = fc.view(-1, generator.num_vectors, fc.shape[1])
            fc = fc_HTL.transpose(0, 1).flatten(0, 1)  # vector by vector
            self._fc, self._label_KH = fc[:, : generator.latent_dim], fc[:, generator.latent_dim :]
            self._label_KH = self._label_KH.T.contiguous()
            # a convolution of images one pixel high: only images can have their channels last
            self._convolutions = [
                w.unsqueeze(2).contiguous(memory_format=torch.channels_last) for w in convolutions
            ]

    @torch.no_grad()
    def __call__(self, z_BL: Tensor, y_B: Tensor) -> Tensor:
        """Generate ``x_BTC`` from latent vectors and int64 class labels."""
        if not self._plain:
            x_BTC: Tensor = self._generator(z_BL, y_B)
            return x_BTC.contiguous()
        rows = max(1, VALUES_AT_A_TIME // len(self._fc))
        parts = zip(torch.split(z_BL, rows), torch.split(y_B, rows), strict=True)
        return torch.cat([self._part(z, y) for z, y in parts])

    def _part(self, z_BL: Tensor, y_B: Tensor) -> Tensor:
        # index_select copies whole rows, several times faster than indexing does
        h = self._label_KH.index_select(0, y_B).addmm_(z_BL, self._fc.T).relu_()
        h = h.view(len(h), self._generator.num_vectors, -1).transpose(1, 2).unsqueeze(2)
        conv1, conv2 = self._convolutions
        padding = (0, conv1.shape[3] // 2)
        h = functional.conv2d(h, conv1, padding=padding).relu_()
        return functional.conv2d(h, conv2, padding=padding).tanh_().squeeze(2).transpose(1, 2)
