"""The generator between two of its own updates: it makes many samples and nothing learns.

B samples, L latent, K classes, T vectors, C components, H channels.
"""

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
    multiplying one-hot rows, and overwrites what it does not need again; any other is just called.

    Parameters
    ----------
    generator : SampleGenerator
        Not changed.
    """

    def __init__(self, generator: SampleGenerator) -> None:
        self._generator = generator
        self._L = generator.latent_dim
        self._plain = is_plain(generator)
        if self._plain:
            self._fc = generator.get_parameter("fc.weight").detach()
            self._label_KH = self._fc[:, self._L :].T.contiguous()

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
        h = self._label_KH[y_B].addmm_(z_BL, self._fc[:, : self._L].T).relu_()
        conv1, conv2 = (self._generator.get_parameter(f"conv{i}.weight") for i in (1, 2))
        padding = conv1.shape[2] // 2
        h = h.view(len(h), -1, self._generator.num_vectors)
        h = functional.conv1d(h, conv1, padding=padding).relu_()
        return functional.conv1d(h, conv2, padding=padding).tanh_().transpose(1, 2)
