"""Poisson batches and noisy class counts."""

import numpy as np
import torch

from flwr_gan.gan import GanConfig, build_networks
from flwr_gan.privacy import draw_poisson_batches, noisy_class_counts, sample_rate

N, T, C, K = 200, 4, 2, 3


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(config, seed=0):
    generator, _ = build_networks(config, num_vectors=T, num_components=C, num_classes=K, seed=0)
    # each sample says who it is
    x = torch.arange(N, dtype=torch.float32).view(N, 1, 1).expand(N, T, C).contiguous()
    y = torch.arange(N) % K
    return list(draw_poisson_batches(x, y, generator, config, seeded(seed)))


def settings(**changes):
    given = {"latent_dim": 4, "channels": (8, 6), "critic_hidden": (8, 8), "batch_size": 20}
    return GanConfig(**given, **changes)


def test_batches_differ_in_size_and_the_rate_is_right():
    batches = draw(settings(critic_iterations=2000))
    sizes = np.array([len(b.y_B) for b in batches])
    assert len(batches) == 2000
    # binomial with N = 200 and q = 0.1: mean 20, variance 18
    assert abs(sizes.mean() - 20) < 5 * (18 / 2000) ** 0.5
    assert abs(sizes.var() / 18 - 1) < 0.2
    seen = np.bincount(
        np.concatenate([b.real_BTC[:, 0, 0].numpy() for b in batches]).astype(int), minlength=N
    )
    # every sample 200 times of 2000, by a coin of its own
    assert abs(seen - 200).max() < 5 * (2000 * 0.1 * 0.9) ** 0.5


def test_a_sample_is_at_most_once_in_a_batch_and_keeps_its_label():
    for batch in draw(settings(critic_iterations=50)):
        who = batch.real_BTC[:, 0, 0].long()
        assert len(who.unique()) == len(who)
        assert torch.equal(batch.y_B, who % K)
        assert len(batch.fake_BTC) == len(batch.mix_B) == len(who)


def test_every_step_has_a_batch_of_its_own():
    batches = draw(settings(critic_iterations=30))
    members = {tuple(b.real_BTC[:, 0, 0].tolist()) for b in batches}
    assert len(members) == 30


def test_a_batch_larger_than_the_data_takes_all_of_it():
    assert sample_rate(10, 64) == 1.0
    config = GanConfig(latent_dim=4, channels=(8, 6), critic_hidden=(8, 8), batch_size=1000)
    assert all(len(b.y_B) == N for b in draw(config))


def test_empty_batches_are_batches():
    tiny = GanConfig(
        latent_dim=4, channels=(8, 6), critic_hidden=(8, 8), batch_size=1, critic_iterations=60
    )
    sizes = [len(b.y_B) for b in draw(tiny)]
    assert len(sizes) == 60
    assert min(sizes) == 0


def test_the_seed_decides():
    first, again, other = (draw(settings(), seed) for seed in (1, 1, 2))
    assert all(torch.equal(a.real_BTC, b.real_BTC) for a, b in zip(first, again, strict=True))
    assert [len(b.y_B) for b in first] != [len(b.y_B) for b in other]


def test_noise_on_class_counts_has_its_scale_and_small_counts_go():
    y = np.repeat([0, 1], [1000, 500]).astype(np.int64)
    drawn = np.stack(
        [noisy_class_counts(y, num_classes=3, noise=10.0, rng=seeded(s)) for s in range(400)]
    )
    assert abs(drawn[:, 0].std() / 10 - 1) < 0.15
    assert abs(drawn[:, :2].mean(axis=0) - [1000, 500]).max() < 2.5
    assert (drawn[:, 2] == 0).mean() > 0.95  # none is held; 2.3 % pass twice the noise
    assert set(drawn[:, 2][drawn[:, 2] < 20]) == {0}


def test_class_counts_are_never_all_zero():
    counts = noisy_class_counts(np.array([0]), num_classes=4, noise=50.0, rng=seeded(3))
    assert counts.any()
