"""Differentiable augmentation: real and generated samples are changed alike for the critic.

Zhao et al., 2020. Every change is differentiable, so the generator learns through it, and is drawn
for each sample from the same distribution, real or generated.

B batch, T vectors or rows, C components or columns.
"""

from collections.abc import Callable, Sequence
from typing import Annotated

import torch
import torch.nn.functional as F  # noqa: N812 - the name that PyTorch code gives it
from torch import Tensor

from flwr_gan.core.settings import Within, checked, require_one_of

Augmentation = Callable[[Tensor, torch.Generator], Tensor]


class ImageAugmentation:
    """Colour, translation and cutout of images, grey (B, T, C) or in colour (B, T, C, channels).

    ``policies`` are applied in the order of ``POLICIES``. Each image draws its own numbers.

    ``brightness`` adds a number from [-0.5, 0.5]. ``saturation`` multiplies each pixel's distance
    to the mean of its channels by a factor from [0, 2]; a grey image has none. ``contrast``
    multiplies the distance to the image's mean by a factor from [0.5, 1.5]. As in the published
    code, these are the ranges, and values outside [-1, 1] are not clipped. ``translation`` is the
    largest shift in either direction and ``cutout`` the side of the square that becomes
    ``background``, both as shares of the image's side, in [0, 1]. The square may be partly outside.
    """

    def __init__(
        self,
        *,
        policies: Sequence[str] = ("translation", "cutout"),
        translation: float = 0.125,
        cutout: float = 0.5,
        background: float = -1.0,
    ) -> None:
        for key, value in (("translation", translation), ("cutout", cutout)):
            checked(key, value, Annotated[float, Within(at_least=0, at_most=1)])
        for name in policies:
            require_one_of("policies", name, POLICIES)
        self._policies = [POLICIES[name] for name in POLICIES if name in policies]
        self.translation = translation
        self.cutout = cutout
        self.background = background

    def __call__(self, x_BTC: Tensor, rng: torch.Generator) -> Tensor:
        """Return the images, changed by each policy; ``rng`` advances."""
        for policy in self._policies:
            x_BTC = policy(self, x_BTC, rng)
        return x_BTC

    def _brighten(self, x_BTC: Tensor, rng: torch.Generator) -> Tensor:
        return x_BTC + _uniform(x_BTC, rng) - 0.5

    def _saturate(self, x_BTC: Tensor, rng: torch.Generator) -> Tensor:
        grey_BTC = x_BTC.mean(-1, keepdim=True) if x_BTC.ndim > 3 else x_BTC
        return torch.lerp(grey_BTC, x_BTC, 2 * _uniform(x_BTC, rng))

    def _contrast(self, x_BTC: Tensor, rng: torch.Generator) -> Tensor:
        mean_B = x_BTC.mean(tuple(range(1, x_BTC.ndim)), keepdim=True)
        return torch.lerp(mean_B, x_BTC, 0.5 + _uniform(x_BTC, rng))

    def _shift(self, x_BTC: Tensor, rng: torch.Generator) -> Tensor:
        B, T, C = x_BTC.shape[:3]
        most = round(self.translation * T)
        if not most:
            return x_BTC
        colours = [0, 0] * (x_BTC.ndim - 3)
        padded = F.pad(x_BTC, (*colours, most, most, most, most), value=self.background)
        row_B, column_B = (_integers(B, 2 * most + 1, x_BTC, rng) for _ in range(2))
        row_BT = row_B[:, None] + torch.arange(T, device=x_BTC.device)
        column_BC = column_B[:, None] + torch.arange(C, device=x_BTC.device)
        at_B = torch.arange(B, device=x_BTC.device)
        return padded[at_B[:, None, None], row_BT[:, :, None], column_BC[:, None, :]]

    def _cut(self, x_BTC: Tensor, rng: torch.Generator) -> Tensor:
        B, T, C = x_BTC.shape[:3]
        side = round(self.cutout * T)
        if not side:
            return x_BTC
        row_B, column_B = (_integers(B, size + 1, x_BTC, rng) - side // 2 for size in (T, C))
        row_T, column_C = (torch.arange(size, device=x_BTC.device) for size in (T, C))
        inside_BT = (row_T >= row_B[:, None]) & (row_T < row_B[:, None] + side)
        inside_BC = (column_C >= column_B[:, None]) & (column_C < column_B[:, None] + side)
        inside_BTC = inside_BT[:, :, None] & inside_BC[:, None, :]
        return torch.where(
            inside_BTC.view(B, T, C, *[1] * (x_BTC.ndim - 3)), self.background, x_BTC
        )


POLICIES = {
    "brightness": ImageAugmentation._brighten,
    "saturation": ImageAugmentation._saturate,
    "contrast": ImageAugmentation._contrast,
    "translation": ImageAugmentation._shift,
    "cutout": ImageAugmentation._cut,
}
"""The policies of ``ImageAugmentation``, in their order."""


class StrokeAugmentation:
    """Stretching and jitter of drawings that are vectors (dx, dy, pen).

    A shift has no effect on differences, and a cut would break a drawing. So instead each axis is
    stretched by its own factor, and every vector gets a little noise. The pen is unchanged.
    Stretching factors are drawn from [1 - stretch, 1 + stretch]; ``jitter`` is the standard
    deviation of the noise, in units of dx and dy. Both are in [0, 1).
    """

    def __init__(self, *, stretch: float = 0.2, jitter: float = 0.02) -> None:
        for key, value in (("stretch", stretch), ("jitter", jitter)):
            checked(key, value, Annotated[float, Within(at_least=0, below=1)])
        self._stretch = stretch
        self._jitter = jitter

    def __call__(self, x_BTC: Tensor, rng: torch.Generator) -> Tensor:
        """Return the drawings, stretched and jittered; ``rng`` advances."""
        B, T, _ = x_BTC.shape
        uniform_B12 = torch.rand((B, 1, 2), generator=rng, device=rng.device).to(x_BTC)
        noise_BT2 = torch.randn((B, T, 2), generator=rng, device=rng.device).to(x_BTC)
        factor_B12 = 1 + self._stretch * (2 * uniform_B12 - 1)
        moved_BT2 = x_BTC[..., :2] * factor_B12 + self._jitter * noise_BT2
        return torch.cat([moved_BT2, x_BTC[..., 2:]], dim=-1)


def _uniform(like_BTC: Tensor, rng: torch.Generator) -> Tensor:
    """Draw a number from [0, 1) per image, in a shape that broadcasts with the images."""
    drawn = torch.rand(len(like_BTC), generator=rng, device=rng.device).to(like_BTC)
    return drawn.view(-1, *[1] * (like_BTC.ndim - 1))


def _integers(count: int, below: int, like: Tensor, rng: torch.Generator) -> Tensor:
    drawn = torch.randint(below, (count,), generator=rng, device=rng.device)
    return drawn.to(like.device)
