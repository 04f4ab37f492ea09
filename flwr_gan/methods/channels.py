"""Structured pruning: some channels of a trained generator go, what is left is trained further.

B samples, L latent.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from flwr_gan.core.settings import Count, Share
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.methods.base import Budget, Method, TrainedGan
from flwr_gan.methods.chain import channel_counts, cut, resized
from flwr_gan.methods.channel_criteria import (
    kept_counts,
    largest_filters,
    merge_similar,
    random_filters,
)


@dataclass(frozen=True, eq=False, kw_only=True)
class ChannelPruning(Method):
    """Cuts the same share of channels out of every hidden layer, then trains what is left.

    The generator that comes out is of the same class, with fewer channels: really smaller.

    Parameters
    ----------
    criterion : str
        Which channels go. ``"magnitude"``: those whose filters have the smallest norm.
        ``"random"``: any, as a control. ``"similarity"``: of the two channels whose feature maps
        are most alike the one of the smaller norm (Song et al. in the survey, paper 002).
    fraction : float
        Share of the channels of each hidden layer that goes, in (0, 1), rounded; one stays.
    absorb : bool
        Only for ``"similarity"``: the next layer's weights for a channel that goes are added to
        those for its like.
    samples : int
        Only for ``"similarity"``: generated samples that the maps are compared on.
    """

    criterion: Literal["magnitude", "random", "similarity"] = "magnitude"
    fraction: Share = 0.5
    absorb: bool = True
    samples: Count = 256

    def student(self, generator: SampleGenerator) -> SampleGenerator:
        """Return a generator of the same class with the channels that stay."""
        return resized(generator, kept_counts(channel_counts(generator), self.fraction))

    def _compress(self, gan: TrainedGan, budget: Budget) -> SampleGenerator:
        """Return the generator without some channels, trained for ``iterations`` updates."""
        student = self.prune(gan, budget.rng)
        budget.train(gan, student)
        return student

    def prune(self, gan: TrainedGan, rng: torch.Generator) -> SampleGenerator:
        """Return the generator as it is after the cut, before any training.

        ``rng`` advances, but for ``"magnitude"``.
        """
        generator = gan.generator
        counts = kept_counts(channel_counts(generator), self.fraction)
        if self.criterion == "magnitude":
            return cut(generator, largest_filters(generator, counts))
        if self.criterion == "random":
            return cut(generator, random_filters(generator, counts, rng))
        z_BL, y_B = draw_latents(gan, self.samples, rng)
        return merge_similar(generator, counts, z_BL, y_B, absorb=self.absorb)


def draw_latents(gan: TrainedGan, count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return latent vectors from N(0, I), and labels as often as the real samples have them.

    Both are on the generator's device.
    """
    device = next(gan.generator.parameters()).device
    index_B = torch.randint(len(gan.y_N), (count,), generator=rng, device=rng.device).cpu()
    z_BL = torch.randn(count, gan.generator.latent_dim, generator=rng, device=rng.device)
    y_B = torch.from_numpy(gan.y_N[index_B.numpy()].astype("int64"))
    return z_BL.to(device), y_B.to(device)
