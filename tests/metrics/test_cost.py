"""Multiply-accumulates of both kinds of generator, dense and where zeros are skipped."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from flwr_gan.errors import ConfigError
from flwr_gan.gan import Generator, network_arrays
from flwr_gan.gan.dcgan import DepthGenerator
from flwr_gan.metrics import count_macs, samples_per_second


def test_sequence_generator_agrees_with_the_count_from_its_shapes():
    generator = Generator(10, 3, 10, latent_dim=8, channels=(16, 12), seed=1)
    with torch.no_grad():
        generator.conv1.weight[3:] = 0
        generator.fc.weight[::2] = 0
    uses = {"fc.weight": 1, "conv1.weight": 10, "conv2.weight": 10}
    arrays = network_arrays(generator)
    macs = count_macs(generator)
    assert macs.dense == sum(arrays[name].size * count for name, count in uses.items())
    kept = {name: np.count_nonzero(array) for name, array in arrays.items()}
    assert macs.sparse == sum(kept[name] * count for name, count in uses.items())
    assert macs.sparse < 0.6 * macs.dense


def test_image_generator_by_hand_and_by_the_kept_counter():
    generator = DepthGenerator((8, 4, 2, 1))
    sizes, macs = [100, 8, 4, 2, 1, 1], 100 * 8 * 16
    macs += sum(
        sizes[i] * sizes[i + 1] * 16 * side**2 for i, side in enumerate((4, 8, 16, 32), start=1)
    )
    found = count_macs(generator)
    assert found.dense == found.sparse == macs
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        generator(torch.zeros(1, 100), torch.zeros(1, dtype=torch.int64))
    assert counter.get_total_flops() == 2 * found.dense


def test_zero_weights_of_a_layer_are_left_out_with_all_their_uses():
    generator = DepthGenerator((8, 4, 2, 1))
    dense = count_macs(generator).dense
    with torch.no_grad():
        generator.layers[3].weight[:, :, :2] = 0  # half of 2 x 1 x 4 x 4 kernels on 16 x 16 inputs
    assert count_macs(generator).sparse == dense - 2 * 1 * 8 * 16**2
    assert np.isclose(count_macs(generator).dense, dense)


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
