"""The fast path of the critic step against autograd."""

import pytest
import torch

from flwr_gan.gan import Critic
from flwr_gan.gan.batches import Batch
from flwr_gan.gan.critic_gradients import autograd_gradients, closed_form_gradients


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
        error = (gradient - expected).norm() / expected.norm().clamp_min(1e-3)
        assert error <= allowed


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
