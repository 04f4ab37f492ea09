"""The largest magnitudes, as sorting all of them says; and the places that they have."""

import numpy as np
import pytest

from flwr_gan.wire.codecs.sparse.largest import largest, largest_places
from flwr_gan.wire.codecs.sparse.support import Support, joined

INPUTS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "few values": lambda rng, n: rng.integers(-2, 3, n),
    "nothing": lambda rng, n: np.zeros(n),
    "one": lambda rng, n: np.arange(n) == n // 2,
    "rows": lambda rng, n: rng.normal(size=n) * 10.0 ** (np.arange(n) // 64 % 8),
    "not finite": lambda rng, n: rng.choice([np.nan, -np.inf, 1.0, -0.0], n),
}


def by_sorting(layers, keep):
    bits = np.concatenate(layers).view(np.uint32) & np.uint32(0x7FFFFFFF)
    mask = np.zeros(len(bits), bool)
    mask[np.argsort(-bits.astype(np.int64), kind="stable")[:keep]] = True
    return np.split(mask, np.cumsum(list(map(len, layers)))[:-1])


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("lengths", [(1,), (0, 3), (40, 1, 200), (150_000, 70_001)])
def test_the_largest_are_those_of_sorting(name, lengths):
    rng = np.random.default_rng(0)
    layers = [INPUTS[name](rng, length).astype(np.float32) for length in lengths]
    total = sum(lengths)
    for keep in {0, 1, total // 1000, total // 10, total * 2 // 3, total - 1, total}:
        masks = by_sorting(layers, keep)
        for found, mask in zip(largest(layers, keep=keep), masks, strict=True):
            assert np.array_equal(found, mask)
        places = largest_places(layers, keep=keep)
        for at, mask, layer in zip(places, masks, layers, strict=True):
            assert np.array_equal(at, np.flatnonzero(mask & (layer != 0)))


@pytest.mark.parametrize("share", [0.0, 0.003, 0.5, 1.0])
@pytest.mark.parametrize("length", [0, 1, 8, 1003])
def test_supports_know_ranks_and_parts(share, length):
    rng = np.random.default_rng(1)
    mask = rng.random(length) < share
    support, every = Support.of(mask), np.arange(length)
    assert np.array_equal(support.positions, np.flatnonzero(mask))
    assert np.array_equal(support.rank(every), np.cumsum(mask) - mask)
    for start in range(0, length, 64):
        assert np.array_equal(support.part(start, start + 64).mask, mask[start : start + 64])
    assert np.array_equal(joined([support, support]).mask, np.append(mask, mask))
