"""Shapes, forward pass, initial weights, arrays and samples."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from flwr_gan.errors import DataError
from flwr_gan.gan import (
    Critic,
    GanConfig,
    Generator,
    build_networks,
    load_network_arrays,
    network_arrays,
    sample,
)


def test_generator_has_the_documented_arrays_and_forward_pass():
    generator = Generator(10, 3, 39)
    arrays = network_arrays(generator)
    shapes = {name: array.shape for name, array in arrays.items()}
    assert shapes == {
        "fc.weight": (2560, 103),
        "conv1.weight": (128, 256, 3),
        "conv2.weight": (3, 128, 3),
    }
    assert sum(array.size for array in arrays.values()) == 363_136
    z, y = torch.randn(5, 64, generator=torch.Generator().manual_seed(1)), torch.arange(5)
    h = F.relu(torch.cat([z, F.one_hot(y, 39)], 1) @ torch.from_numpy(arrays["fc.weight"]).T)
    h = F.relu(F.conv1d(h.view(5, 256, 10), torch.from_numpy(arrays["conv1.weight"]), padding=1))
    x = torch.tanh(F.conv1d(h, torch.from_numpy(arrays["conv2.weight"]), padding=1))
    torch.testing.assert_close(generator(z, y), x.transpose(1, 2))


@pytest.mark.parametrize("shape", [(1, 1, 1), (8, 8, 10), (10, 3, 39), (5, 2, 3)])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_networks_fit_any_shape(shape, kernel_size):
    T, C, K = shape
    config = GanConfig(latent_dim=4, channels=(6, 5), kernel_size=kernel_size, critic_hidden=(7, 3))
    generator, critic = build_networks(
        config, num_vectors=T, num_components=C, num_classes=K, seed=0
    )
    y = torch.arange(9) % K
    x = generator(torch.zeros(9, 4), y)
    assert x.shape == (9, T, C)
    assert critic(x, y).shape == (9,)


def test_the_label_matters_to_both():
    generator, critic = Generator(4, 2, 3), Critic(4, 2, 3)
    z, x, zero, one = torch.ones(1, 64), torch.ones(1, 4, 2), torch.tensor([0]), torch.tensor([1])
    assert not torch.equal(generator(z, zero), generator(z, one))
    assert not torch.equal(critic(x, zero), critic(x, one))


def test_initial_weights_depend_on_the_seed_alone():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = Generator(8, 8, 10, seed=3)
    critic = Critic(8, 8, 10, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    again, other = Generator(8, 8, 10, seed=3), Generator(8, 8, 10, seed=4)
    for name, array in network_arrays(first).items():
        np.testing.assert_array_equal(array, network_arrays(again)[name])
        assert not np.array_equal(array, network_arrays(other)[name])
    for parameter in [*first.parameters(), *critic.parameters()]:
        assert parameter.isfinite().all()


def test_initial_weights_are_spread_as_in_pytorch():
    ours, theirs = Critic(8, 8, 10).fc1, torch.nn.Linear(74, 256)
    bound = 1 / np.sqrt(74)
    for mine, other in ((ours.weight, theirs.weight), (ours.bias, theirs.bias)):
        assert mine.abs().max() <= bound
        assert mine.std().item() == pytest.approx(bound / np.sqrt(3), rel=0.1)
        assert mine.std().item() == pytest.approx(other.std().item(), rel=0.2)
    conv = Generator(8, 8, 10, channels=(64, 32)).conv1.weight
    assert conv.std().item() == pytest.approx(1 / np.sqrt(64 * 3 * 3), rel=0.05)


def test_arrays_go_round_bit_for_bit_even_read_only():
    source, target = Generator(4, 2, 3, seed=1), Generator(4, 2, 3, seed=2)
    arrays = network_arrays(source)
    arrays["fc.weight"][0, :3] = [-0.0, np.nan, 1e-42]
    for array in arrays.values():
        array.setflags(write=False)
    load_network_arrays(target, arrays)
    for name, array in network_arrays(target).items():
        assert array.tobytes() == arrays[name].tobytes()
        assert array.flags.owndata
        assert array.dtype == np.float32


@pytest.mark.parametrize("damage", ["missing", "unknown", "shape"])
def test_arrays_that_do_not_fit_are_refused_and_nothing_changes(damage):
    generator = Generator(4, 2, 3)
    before = network_arrays(generator)
    arrays = {name: array + 1 for name, array in before.items()}
    name = "conv2.weight"
    if damage == "missing":
        del arrays[name]
    elif damage == "unknown":
        name = "conv3.weight"
        arrays[name] = np.zeros(3, np.float32)
    else:
        arrays[name] = arrays[name][..., :2]
    with pytest.raises(DataError, match=name):
        load_network_arrays(generator, arrays)
    for key, array in network_arrays(generator).items():
        np.testing.assert_array_equal(array, before[key])


def test_samples_are_seeded_and_within_range():
    generator = Generator(4, 2, 3)
    y = np.arange(50) % 3
    first = sample(generator, y, rng=torch.Generator().manual_seed(0), batch_size=7)
    again = sample(generator, y, rng=torch.Generator().manual_seed(0))
    assert first.shape == (50, 4, 2)
    assert first.dtype == np.float32
    assert np.abs(first).max() <= 1
    np.testing.assert_allclose(first, again, atol=1e-6)
    assert sample(generator, y[:0], rng=torch.Generator()).shape == (0, 4, 2)
    with pytest.raises(DataError, match="label 3 is unknown: labels are 0 to 2"):
        sample(generator, np.array([0, 3]), rng=torch.Generator())
