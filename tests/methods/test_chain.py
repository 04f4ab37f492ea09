"""A generator as a chain: there and back, cut, widened, and its feature maps."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from flwr_gan.errors import ConfigError
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.methods.chain import (
    channel_counts,
    cut,
    generator_from,
    links_of,
    resized,
    widen,
    with_maps,
)
from tests.methods.tiny_gans import FAMILIES, outputs, same_arrays, seeded, tiny_gan

KEPT = {
    "vectors": [np.array([0, 3, 7]), np.array([1, 2, 5])],
    "depth": [np.array([1, 4]), np.array([0, 2, 3]), np.array([3]), np.array([0, 2])],
}


@pytest.mark.parametrize("family", FAMILIES)
def test_links_there_and_back(family):
    generator = tiny_gan(family).generator
    assert same_arrays(generator_from(links_of(generator), generator), generator)


@pytest.mark.parametrize("family", FAMILIES)
def test_cut_equals_the_whole_with_channels_zeroed(family):
    generator, kept = tiny_gan(family).generator, KEPT[family]
    zeroed = links_of(generator)
    for link, channels in zip(zeroed, kept, strict=False):
        gone = np.setdiff1d(np.arange(len(link.weight_OIP)), channels)
        link.weight_OIP[gone] = 0
        if link.bias_O is not None:
            link.bias_O[gone] = 0
    small = cut(generator, kept)
    assert type(small) is type(generator)
    assert channel_counts(small) == tuple(len(channels) for channels in kept)
    expected = outputs(generator_from(zeroed, generator))
    np.testing.assert_allclose(outputs(small), expected, atol=1e-6)
    assert np.abs(outputs(small) - outputs(generator)).max() > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_widening_keeps_the_function_and_new_filters_learn(family):
    generator = tiny_gan(family).generator
    before = deepcopy(generator)
    channels = [count + 3 for count in channel_counts(generator)]
    wide = widen(generator, channels, seed=5)
    assert channel_counts(wide) == tuple(channels)
    np.testing.assert_allclose(outputs(wide), outputs(generator), atol=1e-6)
    assert same_arrays(generator, before)
    wide(torch.randn(8, 4, generator=seeded()), torch.zeros(8, dtype=torch.int64)).sum().backward()
    into_new = list(wide.parameters())[-2 if family == "depth" else -1].grad
    new = into_new[-3:] if family == "depth" else into_new[:, -3:]
    assert bool((new != 0).any(dim=-1).all())


def test_widening_refuses_to_narrow():
    generator = tiny_gan().generator
    with pytest.raises(ConfigError, match=r"channels=\[8, 5\] .* at least \[8, 6\]"):
        widen(generator, [8, 5])


@pytest.mark.parametrize("family", FAMILIES)
def test_feature_maps_are_what_the_next_layer_sees(family):
    generator = tiny_gan(family).generator
    z_BL, y_B = torch.randn(5, 4, generator=seeded()), torch.tensor([0, 1, 2, 0, 1])
    maps = with_maps(generator, z_BL, y_B)[1]
    assert [m.shape[:2] for m in maps] == [(5, count) for count in channel_counts(generator)]
    last = links_of(generator)[-1]
    if family == "vectors":
        layer, h = generator.conv2, maps[-1]
        x = torch.tanh(layer(h)).transpose(1, 2)
    else:
        h = maps[-1].reshape(5, last.weight_OIP.shape[1], 32, 32)
        x = torch.tanh(generator.layers[-1](h)).squeeze(1)
    assert torch.equal(x, generator(z_BL, y_B))


def test_a_resized_generator_has_the_teachers_shape_and_its_seed():
    generator = tiny_gan().generator
    small = resized(generator, (3, 2), seed=4)
    assert outputs(small).shape == outputs(generator).shape
    assert same_arrays(small, resized(generator, (3, 2), seed=4))
    assert not same_arrays(small, resized(generator, (3, 2), seed=5))


def test_an_unknown_generator_is_refused():
    class Other(SampleGenerator):
        def forward(self, z_BL, y_B):
            return z_BL

    with pytest.raises(ConfigError, match=r"channels of this Other .* Generator or a Depth"):
        channel_counts(Other())
    replaced = tiny_gan().generator
    replaced.conv1 = torch.nn.Sequential(replaced.conv1)
    with pytest.raises(ConfigError, match="with layers of its own"):
        channel_counts(replaced)
