"""Losses against closed forms."""

import pytest
import torch

from flwr_gan.gan import Critic
from flwr_gan.gan.losses import (
    generator_loss,
    gradient_penalty,
    proximal_term,
    wasserstein_estimate,
)

B, T, C, K = 6, 4, 3, 5


@pytest.fixture
def batch():
    rng = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, B, T, C, generator=rng)
    y = torch.randint(K, (B,), generator=rng)
    return real, fake, y, torch.rand(B, generator=rng)


def test_gradient_penalty_of_a_linear_critic_is_known(batch):
    real, fake, y, mix = batch
    slope_KTC = torch.randn(K, T, C, generator=torch.Generator().manual_seed(1))

    def critic(x, y):
        return (x * slope_KTC[y]).sum(dim=(1, 2))

    expected = (slope_KTC[y].flatten(1).norm(dim=1) - 1).square().mean()
    torch.testing.assert_close(gradient_penalty(critic, real, fake, y, mix), expected)


def test_gradient_penalty_of_a_quadratic_critic_is_taken_between_the_samples(batch):
    real, fake, y, mix = batch

    def critic(x, y):
        return x.square().sum(dim=(1, 2)) / 2

    between = (1 - mix.view(-1, 1, 1)) * real + mix.view(-1, 1, 1) * fake
    expected = (between.flatten(1).norm(dim=1) - 1).square().mean()
    torch.testing.assert_close(gradient_penalty(critic, real, fake, y, mix), expected)


def test_gradient_penalty_of_the_critic_equals_its_closed_form(batch):
    real, fake, y, mix = batch
    critic = Critic(T, C, K, hidden=(16, 8), seed=2)
    x = torch.lerp(real, fake, mix.view(-1, 1, 1))
    a1 = critic.fc1(torch.cat([x.flatten(1), torch.eye(K)[y]], dim=1))
    a2 = critic.fc2(torch.nn.functional.leaky_relu(a1, 0.2))
    s1, s2 = (torch.where(a > 0, 1.0, 0.2) for a in (a1, a2))
    slope = ((critic.fc3.weight * s2) @ critic.fc2.weight * s1) @ critic.fc1.weight[:, : T * C]
    expected = (slope.norm(dim=1) - 1).square().mean()
    penalty = gradient_penalty(critic, real, fake, y, mix)
    torch.testing.assert_close(penalty, expected)
    wanted = torch.autograd.grad(expected, critic.fc2.weight)
    torch.testing.assert_close(torch.autograd.grad(penalty, critic.fc2.weight), wanted)


def test_signs_of_both_losses(batch):
    real, fake, y, _ = batch

    def critic(x, y):
        return x.mean(dim=(1, 2))

    estimate = wasserstein_estimate(critic, real + 5, fake, y)
    torch.testing.assert_close(estimate, real.mean() + 5 - fake.mean())
    torch.testing.assert_close(generator_loss(critic, fake, y), -fake.mean())


def test_proximal_term_is_half_mu_times_the_squared_distance():
    weights = [torch.tensor([1.0, 2.0]), torch.tensor([[0.0]])]
    anchors = [torch.tensor([0.0, 0.0]), torch.tensor([[3.0]])]
    assert proximal_term(weights, anchors, 0.5).item() == pytest.approx(0.25 * (1 + 4 + 9))
