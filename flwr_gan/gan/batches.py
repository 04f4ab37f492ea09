"""Batches of a critic iteration: real samples, labels, generated samples, points between.

N samples, B batch, R critic iterations, P of them whose fakes are made together, L latent,
T vectors, C components.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flwr_gan.errors import DataError
from flwr_gan.gan.config import GanConfig
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.gan.sampling import FrozenGenerator, check_labels
from flwr_gan.gan.weights import as_tensor

# The generator does not change between critic iterations, so the fakes of several are made at once.
FAKES_AT_A_TIME = 4096


class Batch(NamedTuple):
    """The batch of one critic iteration; ``mix_B`` are the interpolation factors."""

    real_BTC: Tensor
    fake_BTC: Tensor
    y_B: Tensor
    mix_B: Tensor


def check_data(
    x_NTC: NDArray[np.float32], y_N: NDArray[np.int64], generator: SampleGenerator
) -> tuple[Tensor, Tensor]:
    """Return samples (float32) and labels (int64) as tensors on the generator's device.

    Raises DataError if there are none, they do not fit the generator, or a value is not finite.
    """
    shape = generator.sample_shape
    if len(x_NTC) == 0 or x_NTC.shape[1:] != shape or y_N.shape != (len(x_NTC),):
        raise DataError(
            f"training data has shapes {x_NTC.shape} and {y_N.shape}: "
            f"(N, {', '.join(map(str, shape))}) and (N,) with N of at least 1 are needed"
        )
    if not np.isfinite(x_NTC).all():
        raise DataError("training data holds values that are not finite: remove those samples")
    y = as_tensor(y_N.astype(np.int64))
    check_labels(y, generator.num_classes)
    device = next(generator.parameters()).device
    return as_tensor(x_NTC.astype(np.float32)).to(device), y.to(device)


def draw_batches(
    real_NTC: Tensor,
    y_N: Tensor,
    generator: SampleGenerator,
    config: GanConfig,
    rng: torch.Generator,
) -> Iterator[Batch]:
    """Yield the R batches of one generator iteration (Alg. 1, lines 9-11).

    Samples are drawn with replacement, so a batch may be larger than the data. Fakes are made for
    the labels of the real samples; no gradient reaches the generator.
    """
    frozen = FrozenGenerator(generator)
    places = draw_places(len(y_N), config, rng)
    for index_PB, mix_PB in fakes_at_a_time(*(part.to(y_N.device) for part in places)):
        y_PB, real_PBTC = y_N[index_PB], real_NTC[index_PB]
        fake_PBTC = frozen(draw_latent(generator, y_PB.numel(), rng), y_PB.flatten())
        yield from map(Batch, real_PBTC, fake_PBTC.view_as(real_PBTC), y_PB, mix_PB)


def draw_places(count: int, config: GanConfig, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw the indices of each batch among ``count`` samples, and its mix, both (R, B)."""
    R, B = config.critic_iterations, config.batch_size
    loads = R if config.fresh_batch else 1
    index_RB = torch.randint(count, (loads, B), generator=rng, device=rng.device)
    return index_RB.expand(R, B), torch.rand((R, B), generator=rng, device=rng.device)


def fakes_at_a_time(index_RB: Tensor, mix_RB: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Split the batches, along R, into parts whose fakes are made together."""
    rows = max(1, FAKES_AT_A_TIME // index_RB.shape[-1])
    return zip(torch.split(index_RB, rows, -2), torch.split(mix_RB, rows, -2), strict=True)


def generate(generator: SampleGenerator, y_B: Tensor, rng: torch.Generator) -> Tensor:
    """Generate ``x_BTC`` for labels from latent vectors drawn from N(0, I)."""
    x_BTC: Tensor = generator(draw_latent(generator, len(y_B), rng), y_B)
    return x_BTC.contiguous()


def draw_latent(generator: SampleGenerator, count: int, rng: torch.Generator) -> Tensor:
    """Draw ``z_BL`` from N(0, I), on the device of the generator."""
    z_BL = torch.randn((count, generator.latent_dim), generator=rng, device=rng.device)
    return z_BL.to(next(generator.parameters()).device)
