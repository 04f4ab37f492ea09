"""Samples a second of generators, measured in turn. B batch, L latent."""

import time
from collections.abc import Sequence
from statistics import median

import torch

from flwr_gan.core.settings import Count, checked
from flwr_gan.metrics.macs import LatentGenerator


def samples_per_second(
    generators: Sequence[LatentGenerator], *, batch_size: int = 64, repeats: int = 9
) -> list[float]:
    """Return the samples a second that each generator makes, on one thread of the processor.

    Seconds are those of this thread, which are the clock's on a core that does nothing else. The
    generators take turns, so that a change of the machine's speed hits all alike; the median of the
    runs is taken, after one that warms up. Zeros are multiplied like any other number. Raises
    ConfigError if ``batch_size`` or ``repeats`` is below 1.
    """
    for key, value in (("batch_size", batch_size), ("repeats", repeats)):
        checked(key, value, Count)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # with more, the work of the others would not be in this one's time
    try:
        y_B = torch.zeros(batch_size, dtype=torch.int64)
        rng = torch.Generator().manual_seed(0)
        latents = [torch.randn(batch_size, g.latent_dim, generator=rng) for g in generators]
        seconds: list[list[float]] = [[] for _ in generators]
        with torch.no_grad():
            for run in range(repeats + 1):
                for generator, z_BL, spent in zip(generators, latents, seconds, strict=True):
                    started = time.thread_time()
                    generator(z_BL, y_B)
                    if run:
                        spent.append(time.thread_time() - started)
    finally:
        torch.set_num_threads(threads)
    return [batch_size / max(median(spent), 1e-9) for spent in seconds]
