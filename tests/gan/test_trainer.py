"""Training: what it learns, what it leaves alone, what it refuses."""

import numpy as np
import pytest
import torch

from flwr_gan.core.tree import flatten, unflatten
from flwr_gan.errors import ConfigError, DataError, TrainingError
from flwr_gan.gan import (
    GanConfig,
    WganGpTrainer,
    build_networks,
    load_network_arrays,
    network_arrays,
    sample,
    torch_threads,
)

T, C, K = 4, 2, 3
SMALL = GanConfig(
    latent_dim=4, channels=(8, 6), critic_hidden=(16, 16), batch_size=16, critic_iterations=3
)


def clusters(count=60, seed=0):
    """Three classes, each a cluster around a pattern of its own."""
    rng = np.random.default_rng(seed)
    y = rng.integers(K, size=count)
    centres = np.random.default_rng(9).uniform(-0.8, 0.8, (K, T, C))
    x = centres[y] + 0.05 * rng.standard_normal((count, T, C))
    return x.astype(np.float32), y


def make_trainer(config=SMALL, seed=0):
    networks = build_networks(config, num_vectors=T, num_components=C, num_classes=K, seed=seed)
    return WganGpTrainer(*networks, config=config)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def half_mask(trainer, seed=0):
    rng = np.random.default_rng(seed)
    return {n: rng.random(a.shape) < 0.5 for n, a in network_arrays(trainer.generator).items()}


def everything(trainer):
    return {**network_arrays(trainer.generator), **flatten(trainer.state_dict())}


def assert_identical(first, second):
    assert list(first) == list(second)
    for name, array in first.items():
        assert array.dtype == second[name].dtype
        assert array.tobytes() == second[name].tobytes(), name


def test_a_trained_critic_scores_real_above_generated():
    config = GanConfig(
        latent_dim=4, channels=(8, 6), critic_hidden=(32, 32), critic_iterations=20, critic_lr=5e-3
    )
    trainer = make_trainer(config)
    x, y = clusters()
    log = trainer.train(x, y, iterations=20, rng=seeded())
    fake = sample(trainer.generator, y, rng=seeded(1))
    labels = torch.from_numpy(y)
    real_score = trainer.critic(torch.from_numpy(x), labels).mean()
    fake_score = trainer.critic(torch.from_numpy(fake), labels).mean()
    assert real_score > fake_score + 0.1
    assert log.wasserstein_estimate > 0


@pytest.mark.long
def test_training_brings_generated_samples_near_the_real_ones_of_their_class():
    config = GanConfig(latent_dim=4, channels=(16, 8), critic_hidden=(32, 32), generator_lr=5e-3)
    trainer = make_trainer(config)
    x, y = clusters()
    centres = np.stack([x[y == k].mean(axis=0) for k in range(K)])
    labels = np.arange(90) % K

    def distance():
        fake = sample(trainer.generator, labels, rng=seeded(1))
        return np.square(fake - centres[labels]).mean()

    before = distance()
    trainer.train(x, y, iterations=150, rng=seeded())
    assert distance() < 0.2 * before


@pytest.mark.parametrize("fresh_batch", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_training_in_parts_equals_training_in_full(fresh_batch, masked):
    config = GanConfig(
        latent_dim=4,
        channels=(8, 6),
        critic_hidden=(16, 16),
        batch_size=16,
        critic_iterations=3,
        fresh_batch=fresh_batch,
        betas=(0.5, 0.9),
    )
    x, y = clusters()
    full, first, second = make_trainer(config), make_trainer(config), make_trainer(config, seed=7)
    mask = half_mask(full) if masked else None
    anchor = network_arrays(full.generator)
    settings = {"mask": mask, "anchor": anchor, "proximal_mu": 0.1}
    full.train(x, y, iterations=9, rng=seeded(), **settings)

    rng = seeded()
    first.train(x, y, iterations=4, rng=rng, **settings)
    second.load_state_dict(unflatten(flatten(first.state_dict())))
    load_network_arrays(second.generator, network_arrays(first.generator))
    second.train(x, y, iterations=5, rng=rng, **settings)
    assert_identical(everything(second), everything(full))


def test_training_depends_on_its_rng_and_not_on_the_global_state():
    x, y = clusters()
    runs = []
    for global_seed, seed in ((1, 0), (2, 0), (2, 1)):
        torch.manual_seed(global_seed)
        trainer = make_trainer()
        trainer.train(x, y, iterations=3, rng=seeded(seed))
        runs.append(everything(trainer))
    assert_identical(runs[0], runs[1])
    assert not np.array_equal(runs[1]["fc.weight"], runs[2]["fc.weight"])


@pytest.mark.parametrize("critic_iterations", [1, 3, 300])
def test_batches_of_alg_1_are_loaded_once(critic_iterations, monkeypatch):
    from flwr_gan.gan import batches

    monkeypatch.setattr(batches, "FAKES_AT_A_TIME", 64)
    for fresh in (False, True):
        config = GanConfig(
            latent_dim=4, batch_size=16, critic_iterations=critic_iterations, fresh_batch=fresh
        )
        trainer = make_trainer(config)
        x, y = (torch.from_numpy(array) for array in clusters(1000))
        drawn = list(batches.draw_batches(x, y, trainer.generator, config, seeded()))
        assert len(drawn) == critic_iterations
        assert len({b.real_BTC.numpy().tobytes() for b in drawn}) == (
            critic_iterations if fresh else 1
        )
        assert len({b.fake_BTC.numpy().tobytes() for b in drawn}) == critic_iterations
        for batch in drawn:
            assert batch.real_BTC.shape == batch.fake_BTC.shape == (16, T, C)
            assert batch.mix_B.shape == batch.y_B.shape == (16,)


def test_pruned_weights_and_their_moments_are_zero_after_every_step(monkeypatch):
    trainer = make_trainer()
    x, y = clusters()
    trainer.train(x, y, iterations=3, rng=seeded())  # moments of the dense network come first
    mask = half_mask(trainer)
    seen = []

    def check(*_):
        for name, array in everything(trainer).items():
            layer = name.removeprefix("generator_adam/exp_avg/")
            layer = layer.removeprefix("generator_adam/exp_avg_sq/")
            if layer in mask:
                assert not array[~mask[layer]].any(), name
                assert not np.signbit(array[~mask[layer]]).any(), name
                assert array[mask[layer]].any(), name
        seen.append(1)

    trainer._generator_adam.register_step_post_hook(check)
    trainer.train(x, y, iterations=30, rng=seeded(), mask=mask, proximal_mu=0.1)
    assert len(seen) == 30


def test_a_masked_step_is_the_step_of_the_smaller_network():
    """Adam's step of the survivors is what plain arithmetic gives for their gradients."""
    config = GanConfig(latent_dim=4, channels=(8, 6), critic_hidden=(16, 16), betas=(0.5, 0.9))
    trainer = make_trainer(config)
    x, y = clusters()
    mask = half_mask(trainer)
    first = network_arrays(trainer.generator)
    trainer.train(x, y, iterations=1, rng=seeded(), mask=mask)
    for name, weight in trainer.generator.named_parameters():
        gradient = weight.grad.numpy()
        step = config.generator_lr * gradient / (np.abs(gradient) + 1e-8)
        expected = np.where(mask[name], first[name] - step, 0)
        np.testing.assert_allclose(weight.detach().numpy(), expected, atol=1e-6)


@pytest.mark.long
def test_drift_falls_as_mu_grows():
    x, y = clusters()
    drifts = []
    for mu in (0.0, 1.0, 10.0, 100.0):
        trainer = make_trainer()
        mask = half_mask(trainer)
        before = {n: a * mask[n] for n, a in network_arrays(trainer.generator).items()}
        trainer.train(x, y, iterations=40, rng=seeded(), mask=mask, proximal_mu=mu)
        after = network_arrays(trainer.generator)
        drifts.append(sum(np.square(after[n] - before[n]).sum() for n in before))
    assert drifts == sorted(drifts, reverse=True)
    assert drifts[-1] < 0.2 * drifts[0]


def test_restart_gives_the_first_critic_and_forgets_the_moments():
    trainer = make_trainer()
    start = flatten(trainer.state_dict())
    x, y = clusters()
    trainer.train(x, y, iterations=2, rng=seeded())
    weights = network_arrays(trainer.generator)
    trainer.restart()
    assert_identical(flatten(trainer.state_dict()), start)
    assert_identical(network_arrays(trainer.generator), weights)


@pytest.mark.parametrize(
    ("network", "loss"), [("critic", "critic_loss"), ("generator", "critic_loss")]
)
def test_a_loss_that_is_not_finite_names_the_iteration(network, loss):
    trainer = make_trainer()
    x, y = clusters()

    def poison(*_):
        count.append(1)
        if len(count) == 31:  # seen by the critic from generator iteration 32 on
            with torch.no_grad():
                next(getattr(trainer, network).parameters()).fill_(float("nan"))

    count = []
    trainer._generator_adam.register_step_post_hook(poison)
    with pytest.raises(TrainingError, match=f"{loss} is nan at iteration 32 of 60"):
        trainer.train(x, y, iterations=60, rng=seeded())


def test_a_weight_that_is_not_finite_in_the_end_is_found():
    trainer = make_trainer()
    x, y = clusters()

    def poison(*_):
        with torch.no_grad():
            trainer.generator.conv1.weight[0, 0, 0] = float("inf")

    trainer._generator_adam.register_step_post_hook(poison)
    with pytest.raises(TrainingError, match=r"generator weight conv1.weight is not finite"):
        trainer.train(x, y, iterations=1, rng=seeded())


@pytest.mark.long
def test_the_log_tells_the_losses():
    trainer = make_trainer()
    log = trainer.train(*clusters(), iterations=130, rng=seeded())
    assert log.iterations == 130
    assert log.seconds > 0
    assert log.critic_loss == pytest.approx(
        10 * log.gradient_penalty - log.wasserstein_estimate, abs=1e-5
    )
    assert log.history["iteration"][-1] == 130
    assert {len(values) for values in log.history.values()} == {100}


def test_progress_is_drawn_only_on_a_terminal(capsys):
    make_trainer().train(*clusters(), iterations=2, rng=seeded(), progress="client 3")
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_config_says_how_long_where_the_call_does_not():
    config = GanConfig(latent_dim=4, channels=(4, 4), critic_hidden=(4, 4), iterations=3)
    assert make_trainer(config).train(*clusters(), rng=seeded()).iterations == 3
    with pytest.raises(ConfigError, match="iterations=0"):
        make_trainer(config).train(*clusters(), iterations=0, rng=seeded())


def test_a_batch_may_be_larger_than_the_data_and_classes_may_be_missing():
    x, y = clusters(3)
    make_trainer().train(x[:1], y[:1], iterations=2, rng=seeded())


@pytest.mark.parametrize("damage", ["empty", "shape", "labels", "nan", "class", "mask", "anchor"])
def test_data_that_does_not_fit_is_refused(damage):
    trainer = make_trainer()
    x, y = clusters()
    settings = {}
    if damage == "empty":
        x, y = x[:0], y[:0]
    elif damage == "shape":
        x = x[:, 1:]
    elif damage == "labels":
        y = y[1:]
    elif damage == "nan":
        x[3, 0, 0] = np.nan
    elif damage == "class":
        y = y + 1
    elif damage == "mask":
        settings = {"mask": {"fc.weight": np.ones(3, bool)}}
    else:
        settings = {"anchor": {}, "proximal_mu": 1.0}
    with pytest.raises(DataError):
        trainer.train(x, y, iterations=1, rng=seeded(), **settings)


def test_state_that_does_not_fit_is_refused():
    trainer = make_trainer()
    state = unflatten(flatten(trainer.state_dict()))
    del state["critic_adam"]["fc1.bias"]["step"]
    with pytest.raises(DataError, match=r"critic_adam/fc1\.bias/step"):
        trainer.load_state_dict(state)


def test_threads_are_as_before_after_the_block():
    before = torch.get_num_threads()

    def fail():
        with torch_threads(2):
            assert torch.get_num_threads() == 2
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert torch.get_num_threads() == before
