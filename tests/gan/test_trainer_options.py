"""What may be added to the trainer: augmentation and regularisers."""

import numpy as np
import torch

from flwr_gan.gan import GanConfig, WganGpTrainer, build_networks
from flwr_gan.gan.weights import network_arrays

CONFIG = GanConfig(
    latent_dim=4, channels=(8, 6), critic_hidden=(12, 10), batch_size=8, critic_iterations=2
)


def train(iterations=3, **options):
    networks = build_networks(CONFIG, num_vectors=4, num_components=3, num_classes=2, seed=0)
    trainer = WganGpTrainer(
        *networks, config=CONFIG, **{k: v(networks) for k, v in options.items()}
    )
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-1, 1, (20, 4, 3)).astype(np.float32), rng.integers(2, size=20)
    trainer.train(x, y, iterations=iterations, rng=torch.Generator().manual_seed(0))
    return trainer


def same(first, second):
    a, b = network_arrays(first), network_arrays(second)
    return all(np.array_equal(a[name], b[name]) for name in a)


def test_an_augmentation_that_changes_nothing_changes_no_bit():
    plain = train()
    augmented = train(augment=lambda _: lambda x_BTC, rng: x_BTC)
    assert same(plain.generator, augmented.generator)
    assert same(plain.critic, augmented.critic)


def test_real_and_generated_samples_and_those_of_the_generator_step_are_augmented():
    seen = []

    def augment(x_BTC, rng):
        seen.append(x_BTC.requires_grad)
        return 0.5 * x_BTC

    trainer = train(iterations=2, augment=lambda _: augment)
    # each critic update: real, generated; each generator update: generated, with its gradient
    assert seen == [False, False, False, False, True] * 2
    assert not same(trainer.generator, train(iterations=2).generator)


def test_regularisers_pull_on_their_own_network_alone():
    plain = train(iterations=1)
    of_critic = train(
        iterations=1,
        critic_regulariser=lambda networks: lambda: 100 * networks[1].fc1.weight.square().sum(),
    )
    of_generator = train(
        iterations=1,
        generator_regulariser=lambda networks: lambda: 1e4 * networks[0].fc.weight.square().sum(),
    )
    assert of_critic.critic.fc1.weight.abs().sum() < plain.critic.fc1.weight.abs().sum()
    assert same(of_generator.critic, plain.critic)
    before = build_networks(CONFIG, num_vectors=4, num_components=3, num_classes=2, seed=0)[0]
    shrunk = of_generator.generator.fc.weight.abs().sum()
    assert shrunk < plain.generator.fc.weight.abs().sum()
    assert shrunk < before.fc.weight.abs().sum()


def test_a_regulariser_of_zero_changes_no_bit():
    zero = train(
        generator_regulariser=lambda networks: lambda: 0.0 * networks[0].fc.weight.sum(),
        critic_regulariser=lambda networks: lambda: 0.0 * networks[1].fc1.weight.sum(),
    )
    assert same(zero.generator, train().generator)
    assert same(zero.critic, train().critic)
