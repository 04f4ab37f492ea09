"""GAN slimming: train channel scales towards zero and cut the channels with the smallest.

Wang et al., 2020, "GAN slimming", described in the survey, paper 002. H channels of a layer.
"""

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name that PyTorch code gives it
from numpy.typing import NDArray
from torch import Tensor, nn

from flwr_gan.core.settings import Amount, Share
from flwr_gan.errors import ConfigError
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.methods.base import Budget, Method, TrainedGan
from flwr_gan.methods.chain import (
    ChannelFactors,
    channel_counts,
    cut,
    generator_from,
    hidden_outputs,
    links_of,
    norms_of,
    resized,
)
from flwr_gan.methods.channels import Kept, draw_latents, kept_counts, largest


@dataclass(frozen=True, eq=False, kw_only=True)
class Slimming(Method):
    """Trains channel scales towards zero, cuts the smallest, trains the rest.

    First the generator is trained with the loss ``L_gan + distance * L_pixel + sparsity * |s|_1``:
    L_pixel is the mean squared difference to the trained generator's samples for other latent
    vectors of a batch, s the scales of all channels of hidden layers. Then the share of channels
    with the smallest magnitudes of s is cut, and the rest is trained without these terms.

    Scales are those of the normalisation layers (``gan.norm=instance``). A generator without them
    gets one factor per channel, initially 1, which is multiplied into the weights at the end (Huang
    and Wang, 2018, "Data-driven sparse structure selection"). Quantisation is another method:
    ``straight_through`` with ``activations``, as a second step.
    """

    fraction: Share = 0.5  # of the channels of the hidden layers that is cut
    # local: the share of each layer, so that a receiver knows the form; global: the share of all
    # layers together, as in the paper, but one channel stays in each
    scope: Literal["local", "global"] = "local"
    sparsity: Amount = 1e-3  # weights of the two terms
    distance: Amount = 1.0
    share: Share = 0.5  # of the training before the cut

    def student(self, generator: SampleGenerator) -> SampleGenerator:
        """Return a generator of the same class with the channels that stay.

        Raises ConfigError if ``scope`` is global: then the scales determine the form.
        """
        counts = kept_counts(channel_counts(generator), self.fraction)
        if self.scope == "global":
            raise ConfigError(
                "method.scope='global': the scales decide how many channels of a layer stay, so "
                "the form is not known before the training; give local"
            )
        return resized(generator, counts)

    def _compress(self, gan: TrainedGan, budget: Budget) -> SampleGenerator:
        """Return the generator without some channels; both trainings take ``iterations``."""
        first = round(self.share * budget.iterations)
        scaled = ScaledGenerator(gan.generator)

        def penalty() -> Tensor:
            z_BL, y_B = draw_latents(gan, gan.config.batch_size, budget.rng)
            with torch.no_grad():
                wanted_BTC = gan.generator(z_BL, y_B)
            sizes = torch.cat([scale_H.abs() for scale_H in scaled.scales]).sum()
            return self.sparsity * sizes + self.distance * F.mse_loss(scaled(z_BL, y_B), wanted_BTC)

        critic = budget.train(gan, scaled, iterations=first, regulariser=penalty)
        sizes = scaled.sizes()
        if self.scope == "global":
            kept = kept_by_scale(sizes, self.fraction)
        else:
            counts = kept_counts([*map(len, sizes)], self.fraction)
            kept = [largest(size, count) for size, count in zip(sizes, counts, strict=True)]
        student = cut(scaled.folded(), kept)
        budget.train(gan, student, iterations=budget.iterations - first, critic=critic)
        return student


class ScaledGenerator(SampleGenerator):
    """A copy of a generator with a trainable scale for each channel of its hidden layers.

    ``scales`` are those of its normalisation layers, or new ones of 1, which multiply what the ReLU
    takes.
    """

    def __init__(self, generator: SampleGenerator) -> None:
        super().__init__()
        self.take_sizes(generator)
        self.inner = deepcopy(generator)
        scales = [norm.weight for norm in norms_of(self.inner)]
        self._new = not scales
        if self._new:
            device = next(generator.parameters()).device
            counts = channel_counts(generator)
            scales = [nn.Parameter(torch.ones(count, device=device)) for count in counts]
            for scale_H, layer in zip(scales, hidden_outputs(self.inner), strict=True):
                layer.register_forward_hook(ChannelFactors(scale_H))
        self.scales = nn.ParameterList(scales)

    def forward(self, z_BL: Tensor, y_B: Tensor) -> Tensor:
        """Generate ``x_BTC``."""
        x_BTC: Tensor = self.inner(z_BL, y_B)
        return x_BTC

    def sizes(self) -> list[NDArray[np.float32]]:
        """Return the magnitudes of the scales of each layer."""
        return [scale_H.detach().abs().cpu().numpy() for scale_H in self.scales]

    def folded(self) -> SampleGenerator:
        """Return a generator of the class of the first one that gives the same."""
        links = links_of(self.inner)
        for at, scale_H in enumerate(self.scales if self._new else ()):
            factor_O, link = scale_H.detach().cpu().numpy(), links[at]
            bias_O = None if link.bias_O is None else link.bias_O * factor_O
            weight_OIP = link.weight_OIP * factor_O[:, None, None]
            links[at] = replace(link, weight_OIP=weight_OIP, bias_O=bias_O)
        return generator_from(links, self.inner)


def kept_by_scale(sizes: list[NDArray[np.float32]], fraction: float) -> Kept:
    """Return for each layer the channels whose scales are among the largest of all.

    ``round(fraction * n)`` of all n channels are cut, but the largest of each layer stays. Raises
    ConfigError if none would be cut.
    """
    (count,) = kept_counts([sum(map(len, sizes))], fraction)
    tops = [np.arange(len(size)) == size.argmax() for size in sizes]
    # the largest of each layer before all others
    ranked = np.concatenate(
        [np.where(top, np.float32(np.inf), size) for size, top in zip(sizes, tops, strict=True)]
    )
    kept = np.zeros(len(ranked), bool)
    kept[largest(ranked, max(count, len(sizes)))] = True
    return [np.flatnonzero(part) for part in np.split(kept, np.cumsum([*map(len, sizes)])[:-1])]
