"""Structured pruning: remove channels of a trained generator, then train the rest.

H channels of a layer, B samples, L latent, N numbers of a channel over all samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flwr_gan.core.settings import Count, Share
from flwr_gan.errors import ConfigError
from flwr_gan.gan.batches import draw_latent
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.methods.base import Budget, Method, TrainedGan
from flwr_gan.methods.chain import (
    Link,
    channel_counts,
    cut,
    generator_from,
    links_of,
    resized,
    with_maps,
)
from flwr_gan.wire.codecs.sparse.largest import largest as largest_scores


@dataclass(frozen=True, eq=False, kw_only=True)
class ChannelPruning(Method):
    """Cuts the same share of channels out of every hidden layer, then trains the rest.

    The result is a generator of the same class with fewer channels, so it is really smaller.
    """

    # which channels are cut; magnitude: those whose filters have the smallest norm; random: random
    # ones, as a control; similarity: of the two channels with the most similar feature maps, the
    # one of the smaller norm (Song et al. in the survey, paper 002)
    criterion: Literal["magnitude", "random", "similarity"] = "magnitude"
    fraction: Share = 0.5  # of the channels of each hidden layer that is cut, rounded; one stays
    # only for similarity, as ``samples``. True: the next layer's weights for a cut channel are
    # added to those for the channel that it resembles
    absorb: bool = True
    samples: Count = 256  # generated for comparing the maps

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

        ``rng`` advances, except for ``"magnitude"``.
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
    """Return latent vectors from N(0, I), and labels in the proportions of the real samples.

    Both are on the generator's device.
    """
    index_B = torch.randint(len(gan.y_N), (count,), generator=rng, device=rng.device).cpu()
    z_BL = draw_latent(gan.generator, count, rng)
    y_B = torch.from_numpy(gan.y_N[index_B.numpy()].astype("int64"))
    return z_BL, y_B.to(z_BL.device)


Kept = list[NDArray[np.intp]]


def kept_counts(channels: Sequence[int], fraction: float) -> tuple[int, ...]:
    """Return the number of channels that each layer keeps when a fraction is cut.

    ``round(fraction * H)`` are cut, but at least one stays. Raises ConfigError if no layer would
    lose a channel.
    """
    counts = tuple(max(1, count - round(fraction * count)) for count in channels)
    if counts == tuple(channels):
        raise ConfigError(
            f"method.fraction={fraction!r} is not allowed: of {list(channels)} channels in the "
            "hidden layers none would go; give a larger share, below 1"
        )
    return counts


def largest_filters(generator: SampleGenerator, counts: Sequence[int]) -> Kept:
    """Return for each hidden layer the channels whose filters have the largest norm (L2).

    Biases are not counted. Of equal norms the last in order are cut.
    """
    pairs = zip(filter_norms(generator), counts, strict=True)
    return [largest(norm_H, count) for norm_H, count in pairs]


def filter_norms(generator: SampleGenerator) -> list[NDArray[np.float32]]:
    """Return for each hidden layer the norm of each channel's filter, without its bias."""
    return [
        np.linalg.norm(link.weight_OIP.reshape(len(link.weight_OIP), -1), axis=1)
        for link in links_of(generator)[:-1]
    ]


def random_filters(generator: SampleGenerator, counts: Sequence[int], rng: torch.Generator) -> Kept:
    """Return for each hidden layer channels drawn at random; the control of every criterion."""
    return [
        largest(torch.rand(width, generator=rng, device=rng.device).cpu().numpy(), count)
        for width, count in zip(channel_counts(generator), counts, strict=True)
    ]


def largest(score_H: NDArray[np.floating], count: int) -> NDArray[np.intp]:
    """Return the indices of exactly ``count`` largest scores, float32, in order of indices."""
    return np.flatnonzero(largest_scores([score_H], keep=count)[0])


def merge_similar(
    generator: SampleGenerator,
    counts: Sequence[int],
    z_BL: Tensor,
    y_B: Tensor,
    *,
    absorb: bool,
) -> SampleGenerator:
    """Return the generator without the channels that are most similar to another one.

    Layer by layer, of the two channels whose feature maps have the highest cosine, the one of the
    smaller norm is cut, until ``counts`` are left. An all-zero map counts as equal to any other.
    Maps are compared on the samples of ``z_BL`` and ``y_B``. With ``absorb``, the next layer's
    weights for a cut channel are added to those for the channel that it resembles, times the factor
    that fits one map to the other best.
    """
    for at, count in enumerate(counts):
        # the maps of a layer depend on the remaining channels of earlier layers
        with torch.no_grad():
            maps_BHN = with_maps(generator, z_BL, y_B)[1][at]
        maps_HN = maps_BHN.transpose(0, 1).flatten(1).double()
        gram_HH = (maps_HN @ maps_HN.T).cpu().numpy()
        links = links_of(generator)
        kept, links[at + 1] = _merge(gram_HH, links[at + 1], count, absorb=absorb)
        channels = [np.arange(width) for width in channel_counts(generator)]
        channels[at] = kept
        generator = cut(generator_from(links, generator), channels)
    return generator


def _merge(
    gram_HH: NDArray[np.float64], after: Link, count: int, *, absorb: bool
) -> tuple[NDArray[np.intp], Link]:
    """Return the channels that stay, and the next layer with what it absorbs."""
    norm_H = np.sqrt(np.diag(gram_HH))
    scale_HH = np.outer(norm_H, norm_H)
    likeness_HH = np.where(scale_HH > 0, gram_HH / np.where(scale_HH > 0, scale_HH, 1), 1.0)
    np.fill_diagonal(likeness_HH, -np.inf)
    weight_OIP = after.weight_OIP.astype(np.float64)
    kept_H = np.ones(len(norm_H), dtype=bool)
    for _ in range(len(norm_H) - count):
        pair = np.unravel_index(np.argmax(likeness_HH), likeness_HH.shape)
        stays, goes = sorted(pair, key=lambda channel: -norm_H[channel])
        if absorb and norm_H[stays] > 0:
            factor = gram_HH[stays, goes] / gram_HH[stays, stays]
            weight_OIP[:, stays] += factor * weight_OIP[:, goes]
        kept_H[goes] = False
        likeness_HH[goes] = likeness_HH[:, goes] = -np.inf
    return np.flatnonzero(kept_H), replace(after, weight_OIP=weight_OIP.astype(np.float32))
