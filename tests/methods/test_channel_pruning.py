"""Channel pruning: how many and which channels go, and that training follows."""

from dataclasses import replace

import numpy as np
import pytest

from flwr_gan.errors import ConfigError
from flwr_gan.methods.chain import channel_counts, cut, generator_from, links_of
from flwr_gan.methods.channels import ChannelPruning, kept_counts
from tests.methods.small_gans import assert_leaves_the_gan_and_repeats
from tests.methods.tiny_gans import FAMILIES, outputs, same_arrays, seeded, tiny_gan


def planted(family, change):
    """Return a GAN whose generator's layers were changed by a function of their links."""
    gan = tiny_gan(family)
    links = links_of(gan.generator)
    change(links)
    return replace(gan, generator=generator_from(links, gan.generator))


def equal_channels(links):
    """Make channels 1 and 2 of every hidden layer equal, with different uses."""
    for link in links[:-1]:
        link.weight_OIP[2] = link.weight_OIP[1]
        if link.bias_O is not None:
            link.bias_O[2] = link.bias_O[1]


def fraction_of_one(gan):
    """Return a fraction that takes exactly one channel from each layer."""
    fraction = 1 / (sum(channel_counts(gan.generator)) / len(channel_counts(gan.generator)))
    less = [count - 1 for count in channel_counts(gan.generator)]
    assert list(kept_counts(channel_counts(gan.generator), fraction)) == less
    return fraction


@pytest.mark.parametrize("criterion", ["magnitude", "random", "similarity"])
@pytest.mark.parametrize("family", FAMILIES)
def test_counts_are_exact_and_nothing_given_is_changed(family, criterion):
    gan = tiny_gan(family)
    method = ChannelPruning(criterion=criterion, fraction=0.5, samples=16)
    compressed = assert_leaves_the_gan_and_repeats(method, gan, iterations=1)
    assert channel_counts(compressed) == ((4, 3) if family == "vectors" else (3, 3, 2, 1))
    untrained = method.compress(gan, iterations=0, rng=seeded(1))
    assert not same_arrays(compressed, untrained)


@pytest.mark.parametrize("family", FAMILIES)
def test_magnitude_drops_the_smallest_filters(family):
    def shrink(links):
        for link in links[:-1]:
            link.weight_OIP[0] *= 1e-4
            link.weight_OIP[2] *= 1e-3

    gan = planted(family, shrink)
    kept = [np.setdiff1d(np.arange(n), [0, 2]) for n in channel_counts(gan.generator)]
    fraction = 0.4 if family == "depth" else 0.3
    if family == "depth":  # of its three last channels only one goes
        kept[3] = np.array([1, 2])
    pruned = ChannelPruning(fraction=fraction).prune(gan, seeded())
    assert same_arrays(pruned, cut(gan.generator, kept))


@pytest.mark.parametrize("family", FAMILIES)
def test_similarity_drops_a_duplicate_first_and_absorbs_it_without_loss(family):
    gan = planted(family, equal_channels)
    method = ChannelPruning(criterion="similarity", fraction=fraction_of_one(gan), samples=32)
    pruned = method.prune(gan, seeded())
    assert channel_counts(pruned) == tuple(n - 1 for n in channel_counts(gan.generator))
    np.testing.assert_allclose(outputs(pruned), outputs(gan.generator), atol=1e-5)


def test_similarity_without_absorbing_takes_the_same_channel_and_changes_the_output():
    gan = planted("vectors", equal_channels)
    method = ChannelPruning(
        criterion="similarity", fraction=fraction_of_one(gan), samples=32, absorb=False
    )
    pruned = method.prune(gan, seeded())
    kept = [np.delete(np.arange(n), 2) for n in (8, 6)]
    choices = [cut(gan.generator, [np.delete(np.arange(8), i), np.delete(np.arange(6), j)])
               for i in (1, 2) for j in (1, 2)]  # fmt: skip
    assert any(same_arrays(pruned, choice) for choice in choices)
    assert np.abs(outputs(cut(gan.generator, kept)) - outputs(gan.generator)).max() > 1e-3


def test_similarity_absorbs_a_map_that_is_a_multiple():
    def multiples(links):
        links[0].weight_OIP[2] = 3 * links[0].weight_OIP[1]
        links[0].weight_OIP[5] = 0.5 * links[0].weight_OIP[1]
        links[1].weight_OIP[3] = 2 * links[1].weight_OIP[0]
        links[1].weight_OIP[4] = 0  # an empty map: nothing to absorb

    gan = planted("vectors", multiples)
    method = ChannelPruning(criterion="similarity", fraction=0.3, samples=32)
    pruned = method.prune(gan, seeded())
    assert channel_counts(pruned) == (6, 4)
    np.testing.assert_allclose(outputs(pruned), outputs(gan.generator), atol=1e-5)
    # of a pair the smaller one goes: the largest multiple keeps its filter
    filters = links_of(pruned)[0].weight_OIP
    assert (filters == links_of(gan.generator)[0].weight_OIP[2]).all(axis=(1, 2)).any()


def test_random_depends_on_the_seed_alone():
    gan, method = tiny_gan(), ChannelPruning(criterion="random")
    assert same_arrays(method.prune(gan, seeded(1)), method.prune(gan, seeded(1)))
    assert not same_arrays(method.prune(gan, seeded(1)), method.prune(gan, seeded(2)))


def test_one_channel_stays_whatever_the_fraction():
    assert kept_counts((8, 6, 1), 0.99) == (1, 1, 1)


def test_a_fraction_that_takes_nothing_is_refused():
    with pytest.raises(ConfigError, match=r"method.fraction=0.05 .*\[8, 6\] channels"):
        ChannelPruning(fraction=0.05).student(tiny_gan().generator)
