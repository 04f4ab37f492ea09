"""A small SNGAN for images of 32 x 32 or 64 x 64 pixels (Miyato et al., 2018).

The critic's layers have a spectral norm of 1; it is trained with the hinge loss (``loss="hinge"``
of the trainer). The generator is that of ``dcgan``, without batch normalisation: its running means
would be one more thing to average over clients, and to keep in step with a mask.

B batch, L latent, K classes, H output channels, D inputs of an output channel.
"""

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812 - the name that PyTorch code gives it
from torch import Tensor, nn

from flwr_gan.core.settings import require_one_of
from flwr_gan.gan.dcgan import DepthGenerator, ImageCritic, depth_channels
from flwr_gan.seeding import derive_seed

SIDES = (32, 64)
_FIRST_ITERATIONS = 15
_SMALLEST_NORM = 1e-12


class SpectralConv2d(nn.Conv2d):
    """A convolution by its weight divided by the largest singular value of its (H, D) matrix.

    The value is estimated by power iteration, one step each forward pass that gradients are wanted
    of, from where the last one ended. A weight that is parametrised, by a mask say, is divided
    after that: what the layer computes with has the norm.
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

    def __init__(self, channels: Sequence[int], *, num_classes: int = 1, seed: int = 0) -> None:
        super().__init__(channels, num_classes=num_classes, layer=SpectralConv2d)
        rng = torch.Generator().manual_seed(seed)
        for layer in self.layers:
            layer = cast(SpectralConv2d, layer)
            with torch.no_grad():
                layer.weight.normal_(0.0, layer.weight[0].numel() ** -0.5, generator=rng)
                layer.get_parameter("bias").zero_()
            layer.start(rng)


def build_spectral_networks(
    depth: int, *, side: int = 32, num_classes: int = 1, latent_dim: int = 100, seed: int = 0
) -> tuple[DepthGenerator, SpectralCritic]:
    """Build generator and critic of one depth factor d.

    Hidden channels are 4d, 2d, d for 32 x 32 pixels and 8d, 4d, 2d, d for 64 x 64. Raises
    ConfigError for another side.
    """
    require_one_of("side", side, SIDES)
    channels = depth_channels(depth)[SIDES[::-1].index(side) :]
    settings = {"num_classes": num_classes, "latent_dim": latent_dim}
    generator = DepthGenerator(channels, **settings, seed=derive_seed(seed, "generator"))
    generator.num_vectors = generator.num_components = side  # each hidden layer doubles 4 x 4
    critic = SpectralCritic(
        channels[::-1], num_classes=num_classes, seed=derive_seed(seed, "critic")
    )
    return generator, critic


def _unit(vector: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(vector)
    return vector / length.clamp_min(_SMALLEST_NORM)
