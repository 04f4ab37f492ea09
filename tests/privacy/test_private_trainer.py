"""A private training: equal to the plain one without noise, else as noisy as its settings say."""

import numpy as np
import pytest
import torch

from flwr_gan.errors import ConfigError
from flwr_gan.gan import GanConfig, WganGpTrainer, build_networks, network_arrays, torch_threads
from flwr_gan.gan.batches import Batch
from flwr_gan.privacy import PrivacyAccount, PrivateTrainer

T, C, K, N = 4, 2, 3, 48
SMALL = GanConfig(
    latent_dim=4, channels=(8, 6), critic_hidden=(16, 16), batch_size=16, critic_iterations=3
)


@pytest.fixture(autouse=True)
def one_thread():
    with torch_threads(1):
        yield


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def data(count=N):
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (count, T, C)).astype(np.float32)
    return x, rng.integers(K, size=count)


def private(config=SMALL, *, noise=0.0, clip=1e9, share=(1, 1, 1), account=None):
    networks = build_networks(config, num_vectors=T, num_components=C, num_classes=K, seed=0)
    return PrivateTrainer(
        *networks,
        config=config,
        noise_multiplier=noise,
        clip=clip,
        account=account if account is not None else PrivacyAccount(1e-4),
        label_share_K=np.array(share) / sum(share),
    )


def plain(config=SMALL):
    networks = build_networks(config, num_vectors=T, num_components=C, num_classes=K, seed=0)
    return WganGpTrainer(*networks, config=config)


def batch(B=16):
    x, y = data(B)
    fake = torch.rand(B, T, C, generator=seeded(5)) * 2 - 1
    return Batch(torch.from_numpy(x), fake, torch.from_numpy(y), torch.rand(B, generator=seeded(6)))


@pytest.mark.parametrize("path", ["closed_form", "autograd"])
def test_without_noise_and_clipping_a_step_is_the_plain_one(path):
    config = GanConfig(**{**vars(SMALL), "critic_gradients": path})
    ours, theirs = private(config), plain(config)
    list(ours._batches(torch.zeros(N, T, C), torch.zeros(N, dtype=torch.int64), seeded()))
    measures, gradients = ours._gradients(batch(), seeded())
    wanted_measures, wanted = theirs._gradients(batch(), seeded())
    torch.testing.assert_close(measures, wanted_measures, rtol=1e-5, atol=1e-6)
    for a, b in zip(gradients, wanted, strict=True):
        assert (a - b).norm() <= 1e-5 * b.norm().clamp_min(1e-3)


def test_a_whole_training_on_all_samples_is_the_plain_one():
    """With a batch of all samples nothing is drawn but what the plain loop draws, fed to both."""
    config = GanConfig(**{**vars(SMALL), "batch_size": N})
    x, y = data()

    class Fed(WganGpTrainer):
        _batches = PrivateTrainer._batches
        _asked_labels = PrivateTrainer._asked_labels

    ours, networks = private(config), build_networks(
        config, num_vectors=T, num_components=C, num_classes=K, seed=0
    )  # fmt: skip
    theirs = Fed(*networks, config=config)
    for name in ("_account", "_noise_multiplier", "_label_share_K"):
        setattr(theirs, name, getattr(ours, name))
    for trainer in (ours, theirs):
        trainer.train(x, y, iterations=4, rng=seeded(2))
    found, wanted = network_arrays(ours.generator), network_arrays(theirs.generator)
    for name, array in wanted.items():
        assert np.linalg.norm(found[name] - array) <= 1e-4 * np.linalg.norm(array)


def test_noise_has_its_scale_and_its_seed():
    config, noise, clip = SMALL, 2.0, 0.3
    trainer = private(config, noise=noise, clip=clip)
    list(trainer._batches(torch.zeros(N, T, C), torch.zeros(N, dtype=torch.int64), seeded()))
    empty = Batch(*(part[:0] for part in batch()))
    drawn = [trainer._gradients(empty, seeded(s))[1] for s in range(60)]
    values = torch.cat([g.flatten() for gradients in drawn for g in gradients])
    # divided by the expected batch size, whatever the size of the batch
    assert float(values.std()) == pytest.approx(noise * clip / 16, rel=0.02)
    assert abs(float(values.mean())) < 5 * noise * clip / 16 / len(values) ** 0.5
    again = trainer._gradients(empty, seeded(0))[1]
    assert all(torch.equal(a, b) for a, b in zip(drawn[0], again, strict=True))
    assert not torch.equal(drawn[0][0], drawn[1][0])


def test_a_client_with_few_samples_divides_by_what_it_expects():
    trainer = private(GanConfig(**{**vars(SMALL), "batch_size": 64}), noise=1.0, clip=1.0)
    list(trainer._batches(torch.zeros(10, T, C), torch.zeros(10, dtype=torch.int64), seeded()))
    empty = Batch(*(part[:0] for part in batch()))
    values = torch.cat([
        g.flatten() for s in range(40) for g in trainer._gradients(empty, seeded(s))[1]
    ])  # fmt: skip
    assert float(values.std()) == pytest.approx(1 / 10, rel=0.03)


def test_every_critic_step_is_accounted_for_over_trainings():
    account = PrivacyAccount(1e-4)
    trainer, seen = private(noise=1.0, clip=1.0, account=account), []
    x, y = data()
    for _ in range(3):  # levels of a ticket
        trainer.restart()
        trainer.train(x, y, iterations=5, rng=seeded(1))
        seen.append(account.epsilon)
    assert account.history == [(1.0, 16 / N, 3 * 5 * 3)]
    assert seen == sorted(set(seen))


def test_the_generator_is_asked_for_labels_of_the_noisy_counts_alone():
    trainer = private(share=(0, 3, 1))
    drawn = torch.cat([trainer._asked_labels(torch.zeros(2, dtype=torch.int64), seeded(s))
                       for s in range(100)])  # fmt: skip
    assert len(drawn) == 1600
    assert (drawn == 0).sum() == 0
    assert float((drawn == 1).float().mean()) == pytest.approx(0.75, abs=0.05)


def test_the_same_seed_gives_the_same_training():
    runs = []
    for _ in range(2):
        trainer = private(noise=1.0, clip=0.5)
        trainer.train(*data(), iterations=3, rng=seeded(4))
        runs.append(network_arrays(trainer.generator))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(*map(dict.values, runs), strict=True))


def test_a_mask_is_kept():
    trainer = private(noise=1.0, clip=0.5)
    mask = {n: np.arange(a.size).reshape(a.shape) % 2 == 0
            for n, a in network_arrays(trainer.generator).items()}  # fmt: skip
    trainer.train(*data(), iterations=2, rng=seeded(), mask=mask)
    for name, array in network_arrays(trainer.generator).items():
        assert not array[~mask[name]].any()


def test_what_voids_the_guarantee_is_refused():
    with pytest.raises(ConfigError, match="fresh_batch"):
        private(GanConfig(**{**vars(SMALL), "fresh_batch": False}))
    generator, critic = build_networks(
        SMALL, num_vectors=T, num_components=C, num_classes=K, seed=0
    )
    critic.norm = torch.nn.BatchNorm1d(3)
    with pytest.raises(ConfigError, match="batch normalisation"):
        PrivateTrainer(generator, critic, config=SMALL, noise_multiplier=1.0, clip=1.0,
                       account=PrivacyAccount(1e-4), label_share_K=np.ones(K) / K)  # fmt: skip
