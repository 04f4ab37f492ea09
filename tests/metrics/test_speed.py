"""Samples a second: a larger generator is slower, and threads are as they were."""

import pytest
import torch

from flwr_gan.errors import ConfigError
from flwr_gan.gan import Generator
from flwr_gan.metrics import samples_per_second


def test_the_larger_generator_is_slower_and_threads_are_given_back():
    before = torch.get_num_threads()
    small = Generator(4, 3, 2, latent_dim=8, channels=(8, 4))
    large = Generator(32, 3, 2, latent_dim=64, channels=(256, 128))
    fast, slow = samples_per_second((small, large), repeats=3)
    assert fast > 3 * slow > 0
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("setting", [{"batch_size": 0}, {"repeats": 0}])
def test_nothing_to_measure_is_refused(setting):
    with pytest.raises(ConfigError, match="=0 is not allowed"):
        samples_per_second((), **setting)
