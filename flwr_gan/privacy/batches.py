"""Poisson batches, and class counts with noise.

N samples, B expected batch, R critic iterations, K classes, T vectors, C components.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flwr_gan.gan.batches import FAKES_AT_A_TIME, Batch, generate
from flwr_gan.gan.config import GanConfig
from flwr_gan.gan.networks import SampleGenerator


def sample_rate(num_samples: int, batch_size: int) -> float:
    """Return a sample's probability of being in a batch of expected size `batch_size`."""
    return min(1.0, batch_size / num_samples)


def draw_poisson_batches(
    real_NTC: Tensor,
    y_N: Tensor,
    generator: SampleGenerator,
    config: GanConfig,
    rng: torch.Generator,
) -> Iterator[Batch]:
    """Yield R Poisson batches: each sample is in each batch by an independent draw.

    Batches differ in size and may be empty. The accountant's amplification by sampling requires
    this, and that no batch is used twice (paper 000, Alg. 1, uses one for R steps). Each real
    sample has one generated sample of its label.
    """
    rate = sample_rate(len(y_N), config.batch_size)
    left = config.critic_iterations
    at_a_time = max(1, FAKES_AT_A_TIME // config.batch_size)
    while left:
        P = min(left, at_a_time)
        left -= P
        chosen_PN = torch.rand((P, len(y_N)), generator=rng, device=rng.device) < rate
        sizes = chosen_PN.sum(dim=1).tolist()
        index = chosen_PN.nonzero()[:, 1].to(y_N.device)
        mix = torch.rand(len(index), generator=rng, device=rng.device).to(y_N.device)
        y, real = y_N[index], real_NTC[index]
        with torch.no_grad():
            fake = generate(generator, y, rng) if len(index) else real
        parts = (torch.split(part, sizes) for part in (real, fake, y, mix))
        yield from map(Batch, *parts)


def noisy_class_counts(
    y_N: NDArray[np.int64], *, num_classes: int, noise: float, rng: torch.Generator
) -> NDArray[np.int64]:
    """Return class counts with Gaussian noise: one release of sensitivity 1.

    A sample adds 1 to one count, so `noise` is the noise multiplier of the release. Counts below
    twice the noise become 0, and all become 1 if none is left; both use only the noisy counts and
    cost no privacy.
    """
    exact_K = np.bincount(y_N, minlength=num_classes)
    drawn_K = torch.randn(num_classes, generator=rng, dtype=torch.float64).numpy()
    noisy_K = np.rint(exact_K + noise * drawn_K).astype(np.int64)
    kept_K = np.where(noisy_K < 2 * noise, 0, noisy_K)
    return kept_K if kept_K.any() else np.ones_like(kept_K)
