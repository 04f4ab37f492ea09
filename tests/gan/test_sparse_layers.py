"""Sparse layers compute what dense ones do, where they are chosen and nowhere else."""

import pytest
import torch
from torch import nn

from flwr_gan.gan.dcgan import DepthGenerator
from flwr_gan.gan.networks import Generator
from flwr_gan.gan.sampling import FrozenGenerator
from flwr_gan.gan.sparse_layers import (
    LARGEST_DENSITY,
    NARROW_CHANNELS,
    faster_layers,
    frozen_weights,
    has_sparse_layers,
    largest_density,
    sparse_layers,
    zero_weights,
)
from flwr_gan.gan.sparse_matrix import layer_entries

LAYERS = {
    "linear": (nn.Linear(7, 9), (5, 7)),
    "no bias": (nn.Linear(7, 9, bias=False), (5, 7)),
    "conv1d": (nn.Conv1d(4, 6, 3, padding=1), (5, 4, 8)),
    "stride, dilation": (nn.Conv1d(4, 6, 4, stride=2, dilation=2, padding=3), (5, 4, 11)),
    "conv2d": (nn.Conv2d(3, 4, (3, 2), stride=(2, 1), padding=(1, 0)), (5, 3, 7, 6)),
    "conv3d": (nn.Conv3d(2, 3, 2, stride=2), (2, 2, 4, 5, 6)),
    "transposed, dcgan": (nn.ConvTranspose2d(4, 3, 4, stride=2, padding=1), (5, 4, 3, 5)),
    "transposed, first": (nn.ConvTranspose2d(6, 5, 4, bias=False), (5, 6, 1, 1)),
    "transposed, uneven": (
        nn.ConvTranspose1d(4, 3, 3, stride=2, output_padding=1, dilation=2),
        (5, 4, 3),
    ),
}


def everything(layers, pruned):
    return set(layers) & set(pruned)


def prune(network, keep, seed=0):
    rng = torch.Generator().manual_seed(seed)
    pruned = {}
    with torch.no_grad():
        for name, weight in network.named_parameters():
            pruned[name] = torch.rand(weight.shape, generator=rng) >= keep
            if weight.ndim > 1:
                weight.uniform_(-1, 1, generator=rng).masked_fill_(pruned[name], 0)
    return pruned


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("keep", [0.0, 0.3, 1.0])
def test_outputs_and_gradients_are_those_of_the_dense_layer(kind, keep):
    layer, shape = LAYERS[kind]
    pruned = prune(layer, keep)
    rng = torch.Generator().manual_seed(1)
    x = torch.randn(shape, generator=rng).requires_grad_()
    inputs = [x, *layer.parameters()]
    out = layer(x)
    to_out = torch.randn(out.shape, generator=rng)
    wanted = list(torch.autograd.grad(out, inputs, to_out))
    wanted[1] = wanted[1].masked_fill(pruned["weight"], 0)
    with sparse_layers(layer, pruned, choose=everything):
        assert has_sparse_layers(layer)
        sparse = layer(x)
        found = torch.autograd.grad(sparse, inputs, to_out)
    assert sparse.dtype == torch.float32
    torch.testing.assert_close(sparse, out)
    torch.testing.assert_close(list(found), wanted)
    assert not found[1][pruned["weight"]].any()


@pytest.mark.parametrize("kind", LAYERS)
def test_the_matrix_transposes(kind):
    layer, shape = LAYERS[kind]
    prune(layer, 0.3)
    kept_N = layer.weight.flatten().nonzero().squeeze(1)
    entries = layer_entries(layer, kept_N, shape[2:])
    matrix = entries.matrix(layer.weight).to_dense()
    assert torch.equal(entries.transposed.matrix(layer.weight).to_dense(), matrix.T)
    assert (matrix != 0).sum() == len(entries.weight_E)


def test_a_layer_takes_inputs_of_several_sizes_and_weights_as_they_become():
    layer, _ = LAYERS["conv1d"]
    pruned = prune(layer, 0.3)
    with sparse_layers(layer, pruned, choose=everything):
        for length in (8, 5, 8):
            x = torch.randn(2, 4, length, generator=torch.Generator().manual_seed(length))
            with torch.no_grad():
                layer.weight.mul_(1.5)
            torch.testing.assert_close(layer(x), type(layer).forward(layer, x))


def test_frozen_weights_are_read_once_and_anew_in_the_next_block():
    layer, shape = LAYERS["no bias"]
    pruned, x = prune(layer, 0.3), torch.ones(shape)
    with sparse_layers(layer, pruned, choose=everything):
        with frozen_weights(layer):
            first = layer(x)
            assert not first.requires_grad
            torch.testing.assert_close(first, layer(x))
        with torch.no_grad():
            layer.weight.mul_(2)
        assert layer(x).requires_grad
        with frozen_weights(layer):
            torch.testing.assert_close(layer(x), 2 * first)


def test_layers_are_dense_again_after_an_error():
    layer, _ = LAYERS["linear"]
    with pytest.raises(RuntimeError), sparse_layers(layer, prune(layer, 0.3), choose=everything):
        layer(torch.ones(2, 3))
    assert not has_sparse_layers(layer)


def test_a_block_inside_another_changes_nothing():
    layer, shape = LAYERS["linear"]
    pruned, x = prune(layer, 0.3), torch.ones(shape)
    with sparse_layers(layer, pruned, choose=everything):
        wanted = layer(x)
        with sparse_layers(layer, {}):
            assert torch.equal(layer(x), wanted)
        assert has_sparse_layers(layer)
    assert not has_sparse_layers(layer)


def wide(keep=LARGEST_DENSITY / 2):
    layer = nn.Conv1d(NARROW_CHANNELS + 1, NARROW_CHANNELS + 2, 3)
    return layer, torch.rand(layer.weight.shape, generator=torch.Generator().manual_seed(0)) >= keep


def narrow(keep=0.4):
    layer = nn.Conv1d(16, NARROW_CHANNELS, 3)
    return layer, torch.rand(layer.weight.shape, generator=torch.Generator().manual_seed(0)) >= keep


def chosen(**layers):
    return faster_layers(
        {name: layer for name, (layer, _) in layers.items()},
        {name: pruned for name, (_, pruned) in layers.items()},
    )


def test_the_rule_goes_by_shape_and_density():
    assert chosen(a=wide()) == {"a"}
    assert chosen(a=wide(keep=0.2)) == set()
    assert chosen(a=wide(), b=narrow()) == {"a", "b"}
    assert chosen(a=wide(), b=narrow(keep=0.7)) == {"a"}
    assert chosen(a=wide(keep=0.2), b=narrow()) == set()  # around a dense layer it gains nothing
    assert largest_density(nn.Linear(8, 8)) == 0
    assert 0 < largest_density(nn.Linear(256, 256)) < LARGEST_DENSITY


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Conv1d(16, 16, 3, groups=2),
        lambda: nn.Conv1d(16, 16, 3, padding="same"),
        lambda: nn.Conv1d(16, 16, 3, padding=1, padding_mode="circular"),
        lambda: nn.Conv1d(16, 16, 3).double(),
        lambda: nn.utils.parametrizations.weight_norm(nn.Conv1d(16, 16, 3)),
        lambda: nn.BatchNorm1d(16),
    ],
)
def test_other_layers_stay_dense(make):
    network = nn.Sequential(make())
    pruned = {name: weight == weight for name, weight in network.named_parameters()}
    pruned["0.weight"] = torch.ones(16, 16, 3, dtype=torch.bool)
    with sparse_layers(network, pruned, choose=everything):
        assert not has_sparse_layers(network)


def test_no_mask_and_no_zeros_leave_a_network_dense():
    network = Generator(4, 3, 5, latent_dim=6, channels=(16, 12), seed=3)
    for pruned in ({}, zero_weights(network)):
        with sparse_layers(network, pruned):
            assert not has_sparse_layers(network)


@pytest.mark.parametrize("choose", [faster_layers, everything])
@pytest.mark.parametrize(
    "make",
    [
        lambda: Generator(4, 3, 5, latent_dim=6, channels=(16, 12), seed=3),
        lambda: DepthGenerator((16, 12, 10, 9), num_classes=5, latent_dim=6, seed=3),
    ],
)
def test_a_sparse_generator_makes_what_it_made(make, choose, monkeypatch):
    monkeypatch.setattr("flwr_gan.gan.sampling.SAMPLES_AT_A_TIME", 4)
    network = make()
    pruned = prune(network, 0.08)
    rng = torch.Generator().manual_seed(0)
    z, y = torch.randn(9, 6, generator=rng), torch.randint(5, (9,), generator=rng)
    wanted = network(z, y).detach()
    with sparse_layers(network, pruned, choose=choose):
        assert has_sparse_layers(network)
        made = FrozenGenerator(network)(z, y)
        torch.testing.assert_close(network(z, y).detach(), wanted)
    assert made.is_contiguous()
    assert not made.requires_grad
    torch.testing.assert_close(made, wanted)
