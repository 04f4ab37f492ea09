"""W-DCGAN: convolutional generator and critic for square images (paper 004, section 3).

B batch, L latent, K classes, d depth factor, T = C rows and columns of an image, P its channels.

The paper gives the number of weights of the generator for 64 x 64 grey pixels as d grows: 672 d^2 +
12,831 d + 1. That is five transposed convolutions of 4 x 4 with 8d, 4d, 2d, d and 1 channels from
100 latent numbers, each with a bias, and no normalisation. Each layer but the first doubles the
side. For other sides there are fewer layers, and the first one makes 4 to 7 rows and columns.
Instance normalisation is an option of this project: it has no running means, which clients would
have to average, and treats each channel separately, so that channels can be cut.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the name that PyTorch code gives it
from torch import Tensor, nn

from flwr_gan.core.settings import require_one_of
from flwr_gan.gan.networks import NEGATIVE_SLOPE, SampleGenerator
from flwr_gan.seeding import derive_seed

SIDE = 64
"""Rows and columns of the paper's images."""

KERNEL = 4
_WIDTHS = (8, 4, 2, 1)
_FIRST = range(4, 8)  # rows and columns that the first layer makes
_LAST_SHARE = 0.1
_BRIGHTEST = 0.99
SIDES = sorted(first << count for first in _FIRST for count in range(1, len(_WIDTHS) + 1))
"""Rows and columns that an image can have: 4 to 7, doubled once to four times."""


def depth_channels(depth: int, side: int = SIDE) -> tuple[int, ...]:
    """Return the hidden layers' channels at depth factor d: 8d, 4d, 2d, d for 64 x 64 pixels.

    There is one hidden layer per doubling of the side; smaller images have only the last ones.
    Raises ConfigError for a side that cannot be reached.
    """
    require_one_of("side of an image", side, SIDES)
    count = next(c for c in range(1, len(_WIDTHS) + 1) if side / 2**c in _FIRST)
    return tuple(width * depth for width in _WIDTHS[-count:])


class DepthGenerator(SampleGenerator):
    """Transposed convolutions from a latent vector to an image in [-1, 1].

    The arrays are ``layers.0.weight`` (L [+ K], H1, 4, 4), ``layers.0.bias`` (H1,) and so on to
    ``layers.4.bias`` (P,), all float32. ``channels`` are those of the hidden layers,
    ``depth_channels(d)`` for the paper's networks. Without a ``side`` the first layer makes 4 rows
    and columns. With one class the generator is unconditional and ignores labels, as in the paper.
    With ``norm`` each hidden layer is followed by instance normalisation with a scale and a shift
    for each channel, ``norms.0.weight`` and ``norms.0.bias`` (H1,) and so on. The global random
    state is neither read nor changed.
    """

    def __init__(
        self,
        channels: Sequence[int],
        *,
        side: int | None = None,
        num_channels: int = 1,
        num_classes: int = 1,
        latent_dim: int = 100,
        norm: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.num_vectors = self.num_components = side or KERNEL << len(channels)
        self.num_classes = num_classes
        self.latent_dim = latent_dim
        self.num_channels = num_channels
        self.channels = tuple(channels)
        inputs = latent_dim + (num_classes if num_classes > 1 else 0)
        sizes = [inputs, *channels, num_channels]
        first = self.num_vectors >> len(channels)
        with torch.device("meta"):  # PyTorch's own initialisation draws from the global state
            self.layers = nn.ModuleList(
                nn.ConvTranspose2d(*pair, KERNEL, stride=2, padding=1)
                if at
                else nn.ConvTranspose2d(*pair, first)
                for at, pair in enumerate(pairwise(sizes))
            )
        self.to_empty(device="cpu")
        self.norms = nn.ModuleList(
            nn.InstanceNorm2d(count, affine=True) if norm else nn.Identity() for count in channels
        )
        self.register_buffer("onehot_KK", torch.eye(num_classes), persistent=False)
        _initialise(self.layers, seed, gain=math.sqrt(2))

    def forward(self, z_BL: Tensor, y_B: Tensor) -> Tensor:
        """Generate ``x_BTC`` from latent vectors and int64 class labels."""
        if self.num_classes > 1:
            z_BL = torch.cat([z_BL, self.get_buffer("onehot_KK")[y_B]], dim=1)
        h = z_BL[:, :, None, None]
        *hidden, last = self.layers
        for layer, norm in zip(hidden, self.norms, strict=True):
            h = F.relu(norm(layer(h)))
        x_BPTC = torch.tanh(last(h))
        return x_BPTC.squeeze(1) if self.num_channels == 1 else x_BPTC.movedim(1, -1)

    def start_near(self, mean_P: Tensor) -> None:
        """Start with images of nearly one colour, ``mean_P`` in [-1, 1], that of the wanted ones.

        The last layer's bias is set to give this colour, and its weights are divided by ten. This
        is for learning images by their squared error. From He's initial weights the fastest way to
        a dark background is to bring all hidden layers to zero. A narrow network can stay there:
        it gives one grey image for all latent vectors.
        """
        last = self.layers[-1]
        with torch.no_grad():
            bias = last.get_parameter("bias")
            bias.copy_(torch.atanh(mean_P.to(bias).clamp(-_BRIGHTEST, _BRIGHTEST)))
            last.get_parameter("weight").mul_(_LAST_SHARE)


class ImageCritic(nn.Module):
    """Convolutions from an image to a score, without normalisation; each but the last halves it.

    ``channels`` go from the narrowest, next to the image, to the widest: four for 64 x 64 pixels,
    three for 32 x 32. ``side`` and ``num_channels`` are those of the generator. With more than one
    class, K more input channels hold the one-hot label. The weights are not initialised.
    """

    def __init__(
        self,
        channels: Sequence[int],
        *,
        num_classes: int,
        side: int | None = None,
        num_channels: int = 1,
        layer: type[nn.Conv2d] = nn.Conv2d,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.side = side or KERNEL << len(channels)
        self.num_channels = num_channels
        sizes = [num_channels + (num_classes if num_classes > 1 else 0), *channels, 1]
        last = len(channels)
        with torch.device("meta"):  # PyTorch's own initialisation draws from the global state
            self.layers = nn.ModuleList(
                layer(*pair, KERNEL, stride=2, padding=1)
                if at < last
                else layer(*pair, self.side >> last)
                for at, pair in enumerate(pairwise(sizes))
            )
        self.to_empty(device="cpu")
        self.register_buffer("onehot_KK", torch.eye(num_classes), persistent=False)

    def forward(self, x_BTC: Tensor, y_B: Tensor) -> Tensor:
        """Score images: ``score_B``, higher for images that look real."""
        return self.features(x_BTC, y_B)[-1]

    def features(self, x_BTC: Tensor, y_B: Tensor) -> list[Tensor]:
        """Return the output of each layer, the last of them ``score_B``."""
        h = x_BTC[:, None] if self.num_channels == 1 else x_BTC.movedim(-1, 1)
        if self.num_classes > 1:
            label_BK = self.get_buffer("onehot_KK")[y_B]
            h = torch.cat([h, label_BK[:, :, None, None].expand(-1, -1, *h.shape[2:])], dim=1)
        found = []
        *hidden, last = self.layers
        for layer in hidden:
            h = F.leaky_relu(layer(h), NEGATIVE_SLOPE)
            found.append(h)
        return [*found, last(h).flatten()]


class DepthCritic(ImageCritic):
    """The mirror image of ``DepthGenerator``: as many convolutions from an image to a score."""

    def __init__(
        self, channels: Sequence[int], *, num_classes: int = 1, seed: int = 0, **image: Any
    ) -> None:
        super().__init__(channels, num_classes=num_classes, **image)
        _initialise(self.layers, seed, gain=math.sqrt(2 / (1 + NEGATIVE_SLOPE**2)))


def build_depth_networks(
    depth: int,
    *,
    side: int = SIDE,
    num_channels: int = 1,
    num_classes: int = 1,
    latent_dim: int = 100,
    norm: bool = False,
    seed: int = 0,
    critic: Callable[..., ImageCritic] = DepthCritic,
) -> tuple[DepthGenerator, ImageCritic]:
    """Build generator and critic of one depth factor d; raises ConfigError for another side."""
    channels = depth_channels(depth, side)
    shape: dict[str, Any] = {"side": side, "num_channels": num_channels, "num_classes": num_classes}
    generator = DepthGenerator(
        channels, **shape, latent_dim=latent_dim, norm=norm, seed=derive_seed(seed, "generator")
    )
    return generator, critic(channels[::-1], **shape, seed=derive_seed(seed, "critic"))


def _initialise(layers: nn.ModuleList, seed: int, gain: float) -> None:
    """Draw weights from a normal distribution that keeps the variance; biases start at zero."""
    rng = torch.Generator().manual_seed(seed)
    for layer in layers:
        weight, bias = layer.get_parameter("weight"), layer.get_parameter("bias")
        transposed = isinstance(layer, nn.ConvTranspose2d)
        # each output of a transposed convolution of stride 2 uses a quarter of the kernel
        inputs = weight.shape[0] * 4 if transposed else weight[0].numel()
        if transposed and layer.stride == (1, 1):
            inputs = weight.shape[0]
        with torch.no_grad():
            weight.normal_(0.0, gain / math.sqrt(inputs), generator=rng)
            bias.zero_()
