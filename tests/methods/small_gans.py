"""Small trained GANs of both families, for tests of methods that train under a coding."""

from copy import deepcopy

import numpy as np
import torch

from flwr_gan.gan import GanConfig, WganGpTrainer, build_networks
from flwr_gan.gan.dcgan import SIDE, build_depth_networks
from flwr_gan.gan.weights import load_network_arrays, network_arrays
from flwr_gan.methods import TrainedGan

T, C, K = 4, 2, 3
CENTRES_KTC = np.random.default_rng(9).uniform(-0.8, 0.8, (K, T, C))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def stroke_gan(iterations=20, seed=0):
    """Return a GAN of dense and convolution layers; each class lies around a centre."""
    config = GanConfig(
        latent_dim=4,
        channels=(16, 12),
        critic_hidden=(16, 16),
        batch_size=32,
        critic_iterations=3,
        generator_lr=2e-3,
        critic_lr=2e-3,
    )
    rng = np.random.default_rng(seed)
    y_N = rng.integers(K, size=300)
    x_NTC = (CENTRES_KTC[y_N] + 0.05 * rng.standard_normal((300, T, C))).astype(np.float32)
    networks = build_networks(config, num_vectors=T, num_components=C, num_classes=K, seed=seed)
    WganGpTrainer(*networks, config=config).train(
        x_NTC, y_N, iterations=iterations, rng=seeded(seed)
    )
    return TrainedGan(
        generator=networks[0], critic=networks[1], x_NTC=x_NTC, y_N=y_N, config=config
    )


def image_gan(depth=1):
    """Return a GAN of transposed convolutions with biases after one update."""
    config = GanConfig(batch_size=4, critic_iterations=1, critic_gradients="autograd")
    networks = build_depth_networks(depth, seed=3)
    x_NTC = np.random.default_rng(0).uniform(-1, 1, (8, SIDE, SIDE)).astype(np.float32)
    y_N = np.zeros(8, np.int64)
    WganGpTrainer(*networks, config=config).train(x_NTC, y_N, iterations=1, rng=seeded())
    return TrainedGan(
        generator=networks[0], critic=networks[1], x_NTC=x_NTC, y_N=y_N, config=config
    )


def pruned(gan, share=0.5):
    """Return the GAN with a share of the weights of its matrices at zero."""
    rng = np.random.default_rng(4)
    arrays = {
        name: np.where(rng.random(array.shape) < share, 0, array).astype(np.float32)
        if array.ndim > 1
        else array
        for name, array in network_arrays(gan.generator).items()
    }
    return with_arrays(gan, arrays)


def with_arrays(gan, arrays):
    generator = loaded(gan.generator, arrays)
    return TrainedGan(
        generator=generator, critic=gan.critic, x_NTC=gan.x_NTC, y_N=gan.y_N, config=gan.config
    )


def loaded(generator, arrays):
    """Return a copy of a generator with other weights."""
    copy = deepcopy(generator)
    load_network_arrays(copy, arrays)
    return copy


def inputs(generator, count=5):
    """Return latent vectors and labels."""
    z_BL = torch.randn(count, generator.latent_dim, generator=seeded(8))
    return z_BL, torch.arange(count) % generator.num_classes


def assert_same(first, second):
    assert list(first) == list(second)
    for name, array in first.items():
        assert array.tobytes() == second[name].tobytes(), name


def assert_leaves_the_gan_and_repeats(method, gan, iterations=2):
    """Compress twice: the same bits, teacher, critic and global random state untouched."""
    before = network_arrays(gan.generator) | network_arrays(gan.critic)
    state = torch.get_rng_state()
    runs = [method.compress(gan, iterations=iterations, rng=seeded(1)) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), state)
    assert_same(network_arrays(gan.generator) | network_arrays(gan.critic), before)
    assert_same(network_arrays(runs[0]), network_arrays(runs[1]))
    assert type(runs[0]) is type(gan.generator)
    shapes = [
        {name: array.shape for name, array in network_arrays(made).items()}
        for made in (runs[0], method.student(gan.generator))
    ]
    assert shapes[0] == shapes[1]
    return runs[0]
