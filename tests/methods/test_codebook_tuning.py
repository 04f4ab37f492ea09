"""Trained centroids: few values, gradients summed, indices fixed, zeros kept, exact payloads."""

import numpy as np
import pytest
import torch

from flwr_gan.errors import ConfigError
from flwr_gan.gan.weights import network_arrays
from flwr_gan.methods.codebook_tuning import CodebookGenerator, CodebookTuning
from flwr_gan.wire import decode_payload, encode_payload
from tests.methods.small_gans import (
    assert_leaves_the_gan_and_repeats,
    assert_same,
    inputs,
    loaded,
    pruned,
    seeded,
    with_arrays,
)

pytestmark = pytest.mark.usefixtures("one_thread")
SCOPES = ("layer", "network")


def received(arrays, codec):
    return decode_payload(encode_payload(arrays, codec=codec, lossy="all"))


def values(arrays):
    flat = np.concatenate([array.reshape(-1) for array in arrays])
    return np.unique(flat[flat != 0])


@pytest.mark.parametrize("scope", SCOPES)
def test_few_values_that_travel_exactly(gan, scope):
    method = CodebookTuning(size=6, scope=scope)
    arrays = network_arrays(assert_leaves_the_gan_and_repeats(method, gan))
    groups = [list(arrays.values())] if scope == "network" else [[a] for a in arrays.values()]
    assert max(len(values(group)) for group in groups) == 6
    assert_same(received(arrays, f"codebook:6:{scope}+sparse"), arrays)


@pytest.mark.parametrize("scope", SCOPES)
def test_only_the_centroids_are_trained(gan, scope):
    method = CodebookTuning(size=5, scope=scope)
    start = network_arrays(method.compress(gan, iterations=0, rng=seeded()))
    assert_same(start, received(network_arrays(gan.generator), f"codebook:5:{scope}+raw"))
    end = network_arrays(method.compress(gan, iterations=3, rng=seeded()))
    for name, array in start.items():
        assert not np.array_equal(array, end[name])
        for centroid in np.unique(array):
            assert len(np.unique(end[name][array == centroid])) == 1


@pytest.mark.parametrize("scope", SCOPES)
def test_the_gradient_of_a_centroid_is_the_sum_over_its_weights(gan, scope):
    arrays = received(network_arrays(gan.generator), f"codebook:4:{scope}+raw")
    plain = loaded(gan.generator, arrays)
    tuned = CodebookGenerator(gan.generator, arrays, shared=scope == "network")
    assert torch.equal(tuned(*inputs(plain)), plain(*inputs(plain)))
    for network in (tuned, plain):
        network(*inputs(plain)).square().sum().backward()
    sums: dict[str, float] = {}
    for at, (_, weight) in enumerate(plain.named_parameters()):
        book = 0 if scope == "network" else at
        for centroid in tuned.centroids[book].tolist():
            here = weight.grad[weight == centroid].double().sum().item()
            sums[f"{book} {centroid}"] = sums.get(f"{book} {centroid}", 0.0) + here
    for book, centroids in enumerate(tuned.centroids):
        expected = [sums[f"{book} {centroid}"] for centroid in centroids.tolist()]
        np.testing.assert_allclose(centroids.grad.numpy(), expected, rtol=1e-3, atol=1e-4)
    assert any(abs(total) > 1e-3 for total in sums.values())


@pytest.mark.parametrize("scope", SCOPES)
def test_pruned_weights_stay_zero_and_no_other_becomes_zero(gan, scope):
    sparse = pruned(gan)
    start = network_arrays(sparse.generator)
    start[list(start)[-1]][...] = 0  # a whole layer
    made = CodebookTuning(size=4, scope=scope).compress(
        with_arrays(gan, start), iterations=3, rng=seeded()
    )
    for name, array in network_arrays(made).items():
        np.testing.assert_array_equal(array != 0, start[name] != 0)


def test_a_centroid_at_zero_stays_in_the_mask(strokes):
    arrays = received(network_arrays(pruned(strokes).generator), "codebook:4+raw")
    tuned = CodebookGenerator(strokes.generator, arrays, shared=False)
    with torch.no_grad():
        tuned.centroids[0][2] = 0.0  # of fc.weight
    zeroed = tuned.arrays()
    moved = arrays["fc.weight"] == np.unique(arrays["fc.weight"])[np.array([0, 1, 3, 4])][2]
    assert set(zeroed["fc.weight"][moved]) == {np.float32(2.0**-149)}
    np.testing.assert_array_equal(zeroed["fc.weight"] != 0, arrays["fc.weight"] != 0)
    assert_same(received(zeroed, "codebook:4+sparse"), zeroed)


@pytest.mark.parametrize("scope", SCOPES)
def test_training_makes_the_centroids_better(strokes, scope):
    teacher = strokes.generator
    given = inputs(teacher, 64)
    target = teacher(*given).detach()
    arrays = received(network_arrays(teacher), f"codebook:4:{scope}+raw")
    tuned = CodebookGenerator(teacher, arrays, shared=scope == "network")
    adam = torch.optim.Adam(tuned.parameters(), lr=2e-3)
    errors = []
    for _ in range(60):
        error = (tuned(*given) - target).square().mean()
        errors.append(error.item())
        adam.zero_grad()
        error.backward()
        adam.step()
    assert errors[0] > 1.3 * errors[-1]


def test_weights_that_cannot_be_coded(strokes):
    arrays = network_arrays(strokes.generator)
    arrays["fc.weight"][0, 0] = np.nan
    with pytest.raises(ConfigError, match=r"does not fit this generator: .* NaN"):
        CodebookTuning().compress(with_arrays(strokes, arrays), iterations=1, rng=seeded())
