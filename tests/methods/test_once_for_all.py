"""Once for all: widths share weights, one training serves all, the search finds the best."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from flwr_gan.errors import ConfigError
from flwr_gan.gan.weights import network_arrays
from flwr_gan.methods.channels import draw_latents
from flwr_gan.methods.genetic_search import parameter_count
from flwr_gan.methods.once_for_all import OnceForAll, SharedWidths
from tests.methods.tiny_gans import FAMILIES, same_arrays, seeded, tiny_gan


@pytest.mark.parametrize("family", FAMILIES)
def test_a_width_computes_what_its_student_does_and_the_widest_is_the_teacher(family):
    generator = tiny_gan(family).generator
    shared = SharedWidths(generator, steps=3, rng=seeded())
    z_BL, y_B = torch.randn(5, 4, generator=seeded(2)), torch.arange(5) % 3
    layers = 2 if family == "vectors" else 4
    full = shared.student((3,) * layers)
    torch.testing.assert_close(full(z_BL, y_B), generator(z_BL, y_B))
    for widths in [(1,) * layers, (2, 1) * (layers // 2), (3,) * layers]:
        student = shared.student(widths)
        torch.testing.assert_close(shared.with_widths(widths, z_BL, y_B), student(z_BL, y_B))
    kept = network_arrays(shared.student((1,) * layers))
    first = "fc.weight" if family == "vectors" else "layers.0.weight"
    large = network_arrays(full)[first]
    part = large[: len(kept[first])] if family == "vectors" else large[:, : kept[first].shape[1]]
    np.testing.assert_array_equal(kept[first], part)


def test_one_training_brings_every_width_nearer_to_the_teacher():
    gan = tiny_gan()
    z_BL, y_B = draw_latents(gan, 200, seeded(5))
    method = OnceForAll(size=0.99, share=0.9, learning_rate=0.01, generations=0, steps=2)
    found = []
    search = OnceForAll.search

    def kept(self, shared, *rest):
        found.append(shared)
        return search(self, shared, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OnceForAll, "search", kept)
        method.compress(gan, iterations=100, rng=seeded())
    before, after = SharedWidths(gan.generator, steps=2, rng=seeded()), found[0]
    with torch.no_grad():
        for widths in [(1, 1), (1, 2), (2, 1)]:
            first, then = (
                (one.with_widths(widths, z_BL, y_B) - gan.generator(z_BL, y_B)).square().mean()
                for one in (before, after)
            )
            assert then < 0.5 * first


@pytest.mark.long
@pytest.mark.parametrize("size", [0.3, 0.6])
def test_the_search_finds_the_nearest_student_of_a_size(size):
    gan = tiny_gan()
    shared = SharedWidths(gan.generator, steps=6, rng=seeded())
    found = OnceForAll(size=size, steps=6).search(shared, gan, seeded(3))
    z_BL, y_B = draw_latents(gan, 256, seeded(3))
    with torch.no_grad():
        wanted = gan.generator(z_BL, y_B)
        every = {
            widths: float((student(z_BL, y_B) - wanted).square().mean())
            for widths in product(range(1, 7), repeat=2)
            if parameter_count(student := shared.student(widths))
            <= size * parameter_count(gan.generator)
        }
    assert every[found] == min(every.values())


@pytest.mark.long
@pytest.mark.parametrize("family", FAMILIES)
def test_it_keeps_to_the_size_repeats_and_leaves_the_gan_alone(family):
    gan = tiny_gan(family)
    before = network_arrays(gan.generator) | network_arrays(gan.critic)
    method = OnceForAll(size=0.5, population=4, generations=1, samples=8)
    made, again = (method.compress(gan, iterations=4, rng=seeded(1)) for _ in range(2))
    assert same_arrays(made, again)
    assert type(made) is type(gan.generator)
    assert parameter_count(made) <= 0.5 * parameter_count(gan.generator)
    after = network_arrays(gan.generator) | network_arrays(gan.critic)
    assert all(np.array_equal(array, after[name]) for name, array in before.items())
    assert not same_arrays(made, method.compress(gan, iterations=4, rng=seeded(2)))


def test_what_does_not_fit_is_named():
    with pytest.raises(
        ConfigError, match=r"method\.size=0\.01 allows \d+ parameters, and the narr"
    ):
        OnceForAll(size=0.01, steps=2).compress(tiny_gan(), iterations=2, rng=seeded())
    with pytest.raises(ConfigError, match="form of the generator is not known"):
        OnceForAll().student(tiny_gan().generator)
    with pytest.raises(ConfigError, match=r"method\.elite=24 .*less than method\.population=24"):
        replace(OnceForAll(), elite=24)
