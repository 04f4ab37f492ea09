"""The critic of a small SNGAN for images (Miyato et al., 2018).

Its layers have a spectral norm of 1; it is trained with the hinge loss (``gan.loss=hinge``). The
generator is that of ``dcgan``, without batch normalisation, whose running means clients would have
to average and keep consistent with a mask.

B batch, L latent, K classes, H output channels, D inputs of an output channel.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812 - the name that PyTorch code gives it
from torch import Tensor, nn

from flwr_gan.gan.dcgan import ImageCritic

_FIRST_ITERATIONS = 15
_SMALLEST_NORM = 1e-12


class SpectralConv2d(nn.Conv2d):
    """A convolution with its weight divided by the largest singular value of its (H, D) matrix.

    The value is estimated by power iteration, one step per forward pass with gradients, starting
    from the last estimate. A parametrised weight, for example by a mask, is divided after the
    parametrisation, so the weight used by the layer has the norm 1.
    """

    def start(self, rng: torch.Generator) -> None:
        """Begin the power iteration from a random vector; ``rng`` advances."""
        u_H = torch.randn(self.out_channels, generator=rng, device=rng.device)
        self.register_buffer("u_H", u_H.to(self.weight.device))
        with torch.no_grad():
            for _ in range(_FIRST_ITERATIONS):
                self._iterate(self.weight.flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve with the normalised weight."""
        weight = self.weight
        return F.conv2d(x, weight / self.norm(weight), self.bias, self.stride, self.padding)

    def norm(self, weight: Tensor) -> Tensor:
        """Return the estimate of the largest singular value, 0-d; one more step of iteration."""
        matrix_HD = weight.flatten(1)
        wanted = torch.is_grad_enabled()
        with torch.no_grad():
            if wanted:
                v_D = self._iterate(matrix_HD)
            else:
                v_D = _unit(matrix_HD.T @ self.get_buffer("u_H"))
            u_H = self.get_buffer("u_H").clone()  # the next pass may come before the gradient
        sigma: Tensor = u_H @ matrix_HD @ v_D
        return sigma.clamp_min(_SMALLEST_NORM)

    def _iterate(self, matrix_HD: Tensor) -> Tensor:
        u_H = self.get_buffer("u_H")
        v_D = _unit(matrix_HD.T @ u_H)
        u_H.copy_(_unit(matrix_HD @ v_D))
        return v_D


class SpectralCritic(ImageCritic):
    """Convolutions from an image to a score, each with a spectral norm of 1."""

    def __init__(
        self, channels: Sequence[int], *, num_classes: int = 1, seed: int = 0, **image: Any
    ) -> None:
        super().__init__(channels, num_classes=num_classes, layer=SpectralConv2d, **image)
        rng = torch.Generator().manual_seed(seed)
        for layer in self.layers:
            layer = cast(SpectralConv2d, layer)
            with torch.no_grad():
                layer.weight.normal_(0.0, layer.weight[0].numel() ** -0.5, generator=rng)
                layer.get_parameter("bias").zero_()
            layer.start(rng)


def _unit(vector: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(vector)
    return vector / length.clamp_min(_SMALLEST_NORM)
