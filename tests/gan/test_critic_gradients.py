"""The fast path of the critic step against autograd."""

import pytest
import torch
from torch import nn

from flwr_gan.errors import ConfigError
from flwr_gan.gan import Critic, GanConfig, WganGpTrainer, build_networks
from flwr_gan.gan.batches import Batch
from flwr_gan.gan.critic_gradients import (
    autograd_gradients,
    closed_form_gradients,
    has_closed_form,
    stacked_gradients,
)


def draw(*, B, T, C, K, dtype):
    rng = torch.Generator().manual_seed(0)
    real, fake = torch.rand(2, B, T, C, generator=rng, dtype=dtype) * 2 - 1
    y = torch.randint(K, (B,), generator=rng)
    return Batch(real, fake, y, torch.rand(B, generator=rng, dtype=dtype))


@pytest.mark.parametrize(
    ("hidden", "B", "K"), [((8, 8), 1, 1), ((192, 192), 64, 39), ((256, 128), 7, 10)]
)
@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float32, 1e-5), (torch.float64, 1e-13)])
def test_closed_form_equals_autograd(hidden, B, K, dtype, allowed):
    critic = Critic(10, 3, K, hidden=hidden, seed=1).to(dtype)
    batch = draw(B=B, T=10, C=3, K=K, dtype=dtype)
    wanted_measures, wanted = autograd_gradients(critic, batch, 10.0)
    measures, gradients = closed_form_gradients(critic, batch, 10.0)
    torch.testing.assert_close(measures, wanted_measures, rtol=allowed, atol=allowed)
    for gradient, expected in zip(gradients, wanted, strict=True):
        assert gradient.shape == expected.shape
        # the gradient of the last bias is zero, and autograd's a rounding error
        error = (gradient - expected).norm() / expected.norm().clamp_min(1e-2)
        assert error <= allowed


def test_critics_that_are_stacked_have_the_gradients_of_each_alone():
    critics = [Critic(10, 3, 5, hidden=(16, 12), seed=seed) for seed in range(3)]
    batch = draw(B=7, T=10, C=3, K=5, dtype=torch.float32)
    weights = [torch.stack(of) for of in zip(*(c.parameters() for c in critics), strict=True)]
    rows = [batch.real_BTC.flatten(1), batch.fake_BTC.flatten(1), torch.eye(5)[batch.y_B]]
    rows = [torch.stack([row, row * 0.5, -row]) for row in rows[:2]] + [rows[2].expand(3, 7, 5)]
    measures, gradients = stacked_gradients(weights, *rows, batch.mix_B.expand(3, 7), 10.0)
    for i, (critic, factor) in enumerate(zip(critics, (1, 0.5, -1), strict=True)):
        own = batch._replace(real_BTC=batch.real_BTC * factor, fake_BTC=batch.fake_BTC * factor)
        wanted_measures, wanted = autograd_gradients(critic, own, 10.0)
        torch.testing.assert_close(measures[i], wanted_measures, rtol=1e-5, atol=1e-6)
        for gradient, expected in zip(gradients, wanted, strict=True):
            error = (gradient[i] - expected).norm() / expected.norm().clamp_min(1e-2)
            assert error <= 1e-5


def test_a_critic_with_changed_weights_has_no_closed_form():
    critic = Critic(4, 3, 2, hidden=(8, 8), seed=1)
    assert has_closed_form(critic)
    nn.utils.parametrizations.spectral_norm(critic.fc2)
    assert type(critic) is Critic
    assert not has_closed_form(critic)
    generator, _ = build_networks(
        GanConfig(), num_vectors=4, num_components=3, num_classes=2, seed=0
    )
    with pytest.raises(ConfigError, match="not for a Critic with masked or normalised weights"):
        WganGpTrainer(generator, critic, config=GanConfig())


def test_a_flat_critic_has_finite_gradients():
    critic = Critic(4, 3, 2, hidden=(8, 8), seed=1)
    with torch.no_grad():
        critic.fc3.weight.zero_()  # the slope is zero everywhere, and its norm not differentiable
    batch = draw(B=5, T=4, C=3, K=2, dtype=torch.float32)
    measures, gradients = closed_form_gradients(critic, batch, 10.0)
    assert measures[2] == 1
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)


def test_neither_path_changes_the_critic():
    critic = Critic(4, 3, 2, hidden=(8, 8), seed=1)
    before = [weight.detach().clone() for weight in critic.parameters()]
    batch = draw(B=5, T=4, C=3, K=2, dtype=torch.float32)
    for path in (autograd_gradients, closed_form_gradients):
        path(critic, batch, 10.0)
    assert all(torch.equal(w, b) for w, b in zip(critic.parameters(), before, strict=True))
