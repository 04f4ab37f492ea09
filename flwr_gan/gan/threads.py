"""Number of PyTorch's threads."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Compute with ``count`` threads inside the context; restore the number afterwards.

    Sums are split over threads, so results are equal bit for bit only for equal counts.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
