"""Factored layers: what they compute, what they save, their form, their names, training."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from flwr_gan.errors import ConfigError
from flwr_gan.gan import sample
from flwr_gan.gan.weights import network_arrays
from flwr_gan.methods.factored import Factored
from flwr_gan.metrics import count_macs
from flwr_gan.wire.stages import get_stage
from tests.methods.small_gans import (
    T,
    assert_leaves_the_gan_and_repeats,
    assert_same,
    image_gan,
    inputs,
    loaded,
    pruned,
    seeded,
    with_arrays,
)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def images():
    return image_gan(depth=2)


def truncated(array, rank):
    """Return the nearest matrix of a rank, in the array's shape."""
    matrix = array.reshape(len(array), -1).astype(np.float64)
    left, sizes, right = np.linalg.svd(matrix, full_matrices=False)
    return ((left[:, :rank] * sizes[:rank]) @ right[:rank]).astype(np.float32).reshape(array.shape)


def saves(array, rank):
    return array.ndim > 1 and rank * (len(array) + array[0].size) < array.size


def count(generator):
    return sum(weight.numel() for weight in generator.parameters())


@pytest.mark.parametrize("rank", [1, 3])
def test_before_training_it_is_the_generator_of_truncated_matrices(gan, rank):
    arrays = {
        name: truncated(array, rank) if saves(array, rank) else array
        for name, array in network_arrays(gan.generator).items()
    }
    made = Factored(rank=rank).compress(gan, iterations=0, rng=seeded())
    got, plain = made(*inputs(made)), gan.generator(*inputs(made))
    expected = loaded(gan.generator, arrays)(*inputs(made))
    assert torch.allclose(got, expected, rtol=0, atol=1e-5)
    assert not torch.allclose(got, plain, rtol=0, atol=1e-4)


def test_factors_of_all_the_rank_there_is_give_the_original(gan):
    low = {
        name: truncated(array, 2) if saves(array, 2) else array
        for name, array in network_arrays(gan.generator).items()
    }
    teacher = with_arrays(gan, low)
    made = Factored(rank=2).compress(teacher, iterations=0, rng=seeded())
    assert count(made) < count(teacher.generator)
    given = inputs(made)
    assert torch.allclose(made(*given), teacher.generator(*given), rtol=0, atol=1e-5)


def test_a_rank_that_saves_nothing_leaves_the_generator_as_it_is(gan):
    made = Factored(rank=1024).compress(gan, iterations=0, rng=seeded())
    assert_same(network_arrays(made), network_arrays(gan.generator))


def test_arrays_keep_readable_names(strokes, images):
    made = network_arrays(Factored(rank=4).student(strokes.generator))
    assert {name: array.shape for name, array in made.items()} == {
        "fc.down.weight": (4, 7),
        "fc.up.weight": (64, 4),
        "conv1.down.weight": (4, 16, 3),
        "conv1.up.weight": (12, 4, 1),
        "conv2.weight": (2, 12, 3),  # 4 (2 + 36) weights would be more than its 72
    }
    made = network_arrays(Factored(rank=3).student(images.generator))
    assert [name for name in made if name.startswith("layers.1.")] == [
        "layers.1.down.weight",
        "layers.1.up.weight",
        "layers.1.up.bias",
    ]
    assert made["layers.1.down.weight"].shape == (3, 16, 1, 1)
    assert made["layers.1.up.weight"].shape == (3, 8, 4, 4)
    assert "layers.4.weight" in made


def test_fewer_weights_and_fewer_multiplications(gan):
    student = Factored(rank=2).student(gan.generator)
    assert count(student) < 0.6 * count(gan.generator)
    flops = []
    for generator in (gan.generator, student):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            generator(*inputs(generator))
        flops.append(counter.get_total_flops())
    assert flops[1] < 0.6 * flops[0]


def test_cost_of_the_factored_form_by_hand(strokes):
    student = Factored(rank=2).student(strokes.generator)
    assert sum(w.numel() for w in student.parameters()) == 2 * (64 + 7) + 2 * (12 + 48) + 72
    # 2 (2 + 36) is more than 72, so the last layer stays
    assert count_macs(student).dense == 2 * (64 + 7) + T * (2 * (12 + 48) + 72)


@pytest.mark.parametrize("energy", [0.5, 0.9])
def test_each_layer_keeps_the_energy(images, energy):
    made = network_arrays(Factored(energy=energy).compress(images, iterations=0, rng=seeded()))
    factored = 0
    for name, array in network_arrays(images.generator).items():
        if name in made or not name.endswith("weight"):
            continue
        factored += 1
        rank = len(made[name.replace("weight", "down.weight")])
        sizes = np.linalg.svd(array.reshape(len(array), -1), compute_uv=False).astype(np.float64)
        shares = np.cumsum(sizes**2) / np.sum(sizes**2)
        assert shares[rank - 1] >= energy
        assert rank == 1 or shares[rank - 2] < energy
    assert factored >= 2


def test_the_form_follows_from_shapes_alone(gan):
    method = Factored(rank=3)
    sparse = pruned(gan, share=0.9)
    forms = [
        {name: array.shape for name, array in network_arrays(made).items()}
        for made in (
            method.student(gan.generator),
            method.student(sparse.generator),
            method.compress(sparse, iterations=0, rng=seeded()),
        )
    ]
    assert forms[0] == forms[1] == forms[2]
    name = "fc" if "fc.down.weight" in forms[0] else "layers.1"
    weight = network_arrays(sparse.generator)[f"{name}.weight"]
    parts = get_stage("lowrank:rank:3").apply([weight])[1][0]
    assert len(parts) == 1  # the stage leaves a layer of so few survivors whole


def test_training_moves_every_factor_and_leaves_the_gan_alone(gan):
    method = Factored(rank=2)
    start = network_arrays(method.compress(gan, iterations=0, rng=seeded(1)))
    made = assert_leaves_the_gan_and_repeats(method, gan)
    for name, array in network_arrays(made).items():
        assert not np.array_equal(array, start[name]), name
    x_NTC = sample(made, np.zeros(3, np.int64), rng=seeded())
    assert np.isfinite(x_NTC).all()


def test_a_receiver_cannot_know_the_form_of_an_energy(strokes):
    with pytest.raises(ConfigError, match=r"method\.energy .* give method\.rank"):
        Factored(energy=0.9).student(strokes.generator)


def test_weights_that_cannot_be_factored(strokes):
    arrays = network_arrays(strokes.generator)
    arrays["conv1.weight"][0] = np.inf
    with pytest.raises(ConfigError, match="layer conv1 cannot be factored"):
        Factored(rank=2).compress(with_arrays(strokes, arrays), iterations=1, rng=seeded())
