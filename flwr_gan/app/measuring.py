"""How many threads measuring takes: sums are split over them, so the last digits depend on it."""

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from flwr_gan.gan import torch_threads


@contextmanager
def measuring_threads(count: int) -> Iterator[None]:
    """Compute with ``count`` threads inside the block: torch, and the BLAS of numpy.

    Scores are then equal whatever the variable ``OMP_NUM_THREADS`` says.
    """
    with threadpool_limits(count), torch_threads(count):
        yield
