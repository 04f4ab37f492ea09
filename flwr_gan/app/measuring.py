"""The number of threads for measuring: the last digits of sums depend on it."""

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from flwr_gan.gan import torch_threads


@contextmanager
def measuring_threads(count: int) -> Iterator[None]:
    """Compute with ``count`` threads inside the context: torch, and the BLAS of numpy.

    Scores then do not depend on the variable ``OMP_NUM_THREADS``.
    """
    with threadpool_limits(count), torch_threads(count):
        yield
