"""Counts of weights and operations."""

import numpy as np

from flwr_gan.gan import Generator, network_arrays
from flwr_gan.metrics import generator_cost


def test_cost_of_a_dense_and_a_sparse_generator():
    arrays = network_arrays(Generator(10, 3, 39))
    cost = generator_cost(arrays, num_vectors=10)
    assert cost.parameters == cost.nonzero == 363_136
    assert cost.dense_macs == cost.sparse_macs == 2560 * 103 + 10 * (128 * 256 * 3 + 3 * 128 * 3)
    arrays["fc.weight"][:] = 0
    arrays["conv2.weight"][0, 0] = -0.0
    cost = generator_cost(arrays, num_vectors=10)
    assert cost.parameters == 363_136
    assert cost.nonzero == 128 * 256 * 3 + 3 * 128 * 3 - 3
    assert cost.sparse_macs == 10 * cost.nonzero
    assert cost.dense_macs == 2560 * 103 + 10 * (128 * 256 * 3 + 3 * 128 * 3)


def test_costs_are_plain_numbers():
    cost = generator_cost({"w": np.zeros((2, 2), np.float32)}, num_vectors=1)
    assert all(type(value) is int for value in vars(cost).values())
