"""The genetic search: its rules, that it climbs, and that it finds what is useless."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from flwr_gan.errors import ConfigError
from flwr_gan.methods.chain import channel_counts, generator_from, links_of
from flwr_gan.methods.evolutionary_channels import EvolutionaryChannels
from tests.methods.small_gans import assert_leaves_the_gan_and_repeats
from tests.methods.tiny_gans import FAMILIES, outputs, seeded, tiny_gan

USELESS = (2, 4)


def gan_with_useless_channels():
    """Return a GAN with two channels that nothing looks at, whose filters are the largest."""
    gan = tiny_gan()
    links = links_of(gan.generator)
    for at, channel in enumerate(USELESS):
        links[at].weight_OIP[channel] *= 10
        links[at + 1].weight_OIP[:, channel] = 0
    return replace(gan, generator=generator_from(links, gan.generator))


def test_search_climbs_to_a_known_string():
    target = np.random.default_rng(3).random(30) < 0.5
    method = EvolutionaryChannels(population=30, generations=40, mutation=0.03, elite=2)
    asked = []

    def fitness(bits):
        asked.append(bits.tobytes())
        return float((bits == target).sum())

    rng = np.random.default_rng(0)
    first = [rng.random(30) < 0.5 for _ in range(30)]
    found = method.fittest(first, fitness, rng, layers=(20, 10))
    np.testing.assert_array_equal(found.bits_D, target)
    assert len(found.fitness) == 41
    assert all(after >= before for before, after in pairwise(found.fitness))
    assert found.fitness[0] < found.fitness[-1] == 30
    assert len(asked) == len(set(asked))  # no string is scored twice


@pytest.mark.parametrize("ones", [(3, 1), None])
def test_every_string_keeps_the_rule(ones):
    method = EvolutionaryChannels(population=6, generations=10, mutation=0.5, elite=1)

    def fitness(bits):
        counts = (int(bits[:5].sum()), int(bits[5:].sum()))
        assert counts == ones if ones else min(counts) >= 1
        return -float(bits.sum())

    rng = np.random.default_rng(0)
    first = [np.zeros(9, bool), np.ones(9, bool)]
    method.fittest(first, fitness, rng, layers=(5, 4), ones=ones)


@pytest.mark.parametrize("family", FAMILIES)
def test_compressed_generator_has_the_students_form(family):
    gan = tiny_gan(family)
    method = EvolutionaryChannels(population=4, generations=2, elite=1, samples=8)
    compressed = assert_leaves_the_gan_and_repeats(method, gan, iterations=1)
    assert channel_counts(compressed) == channel_counts(method.student(gan.generator))


def test_fixed_counts_finds_the_useless_channels():
    gan = gan_with_useless_channels()
    method = EvolutionaryChannels(fraction=0.15, population=12, generations=12, mutation=0.1)
    found = method.search(gan, seeded())
    assert all(after >= before for before, after in pairwise(found.fitness))
    assert np.flatnonzero(~found.bits_D).tolist() == [USELESS[0], 8 + USELESS[1]]
    pruned = method.compress(gan, iterations=0, rng=seeded())
    assert channel_counts(pruned) == (7, 5)
    np.testing.assert_allclose(outputs(pruned), outputs(gan.generator), atol=1e-6)


@pytest.mark.long
def test_free_counts_finds_the_useless_channels_and_no_others():
    gan = gan_with_useless_channels()
    method = EvolutionaryChannels(
        fraction=0.15,
        layer_counts="free",
        population=20,
        generations=30,
        mutation=0.05,
        distance_weight=1e4,
        samples=64,
    )
    found = method.search(gan, seeded())
    assert not found.bits_D[USELESS[0]]
    assert not found.bits_D[8 + USELESS[1]]
    pruned = method.compress(gan, iterations=0, rng=seeded())
    np.testing.assert_allclose(outputs(pruned), outputs(gan.generator), atol=1e-2)


@pytest.mark.long
def test_without_distance_the_free_search_makes_it_small():
    method = EvolutionaryChannels(layer_counts="free", distance_weight=0, mutation=0.1, samples=8)
    pruned = method.compress(tiny_gan(), iterations=0, rng=seeded())
    assert channel_counts(pruned) == (1, 1)


def test_form_of_a_free_search_is_not_known_before():
    with pytest.raises(ConfigError, match=r"method.layer_counts='free'.*give fixed"):
        EvolutionaryChannels(layer_counts="free").student(tiny_gan().generator)
