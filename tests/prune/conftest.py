"""Sums are split over threads, so that tests of exact results compute with one."""

import pytest

from flwr_gan.gan import torch_threads


@pytest.fixture(autouse=True)
def one_thread():
    """Compute with one thread."""
    with torch_threads(1):
        yield
