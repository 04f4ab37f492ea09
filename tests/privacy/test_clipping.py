"""Per-sample gradients, their clipped sum, and what one sample can change."""

import pytest
import torch

from flwr_gan.gan import Critic
from flwr_gan.gan.batches import Batch
from flwr_gan.gan.critic_gradients import autograd_gradients
from flwr_gan.privacy import clipped_sums, closed_form_clipped_sums
from flwr_gan.privacy.clipping import per_sample_gradients

PATHS = [clipped_sums, closed_form_clipped_sums]
PENALTY = 10.0


def critic(hidden=(16, 12)):
    return Critic(5, 3, 4, hidden=hidden, seed=1)


def draw(B, seed=0):
    rng = torch.Generator().manual_seed(seed)
    real, fake = torch.rand(2, B, 5, 3, generator=rng) * 2 - 1
    return Batch(real, fake, torch.randint(4, (B,), generator=rng), torch.rand(B, generator=rng))


def take(batch, chosen):
    return Batch(*(part[chosen] for part in batch))


def looped(network, batch):
    """Gradients of one sample after another, by double backpropagation."""
    rows = [autograd_gradients(network, take(batch, [i]), PENALTY) for i in range(len(batch.y_B))]
    return torch.stack([m for m, _ in rows]), [
        torch.stack(g) for g in zip(*(gradients for _, gradients in rows), strict=True)
    ]


def norm(gradients):
    return torch.stack([g.double().square().sum() for g in gradients]).sum().sqrt()


def close(found, wanted, allowed=1e-5):
    for a, b in zip(found, wanted, strict=True):
        assert a.shape == b.shape
        assert (a - b).norm() <= allowed * b.norm().clamp_min(1e-2)


def test_per_sample_gradients_equal_a_loop_over_samples():
    network, batch = critic(), draw(7)
    measures, gradients = per_sample_gradients(network, batch, PENALTY)
    wanted_measures, wanted = looped(network, batch)
    torch.testing.assert_close(measures, wanted_measures, rtol=1e-5, atol=1e-5)
    close(gradients, wanted)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("clip", [0.1, 3.0, 1e6])
def test_the_sum_is_that_of_gradients_clipped_one_by_one(path, clip):
    network, batch = critic(), draw(9)
    _, rows = looped(network, batch)
    factors = [min(1.0, clip / float(norm([g[i] for g in rows]))) for i in range(9)]
    wanted = [sum(f * g[i] for i, f in enumerate(factors)) for g in rows]
    measures, sums = path(network, batch, PENALTY, clip=clip)
    close(sums, wanted)
    wanted_measures, _ = autograd_gradients(network, batch, PENALTY)
    torch.testing.assert_close(measures, wanted_measures, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("path", PATHS)
def test_one_sample_changes_the_sum_by_at_most_clip(path):
    network, clip = critic(), 0.5
    batch = draw(12)
    batch = batch._replace(real_BTC=batch.real_BTC * 50)  # far outside: large gradients
    _, whole = path(network, batch, PENALTY, clip=clip)
    for left_out in range(12):
        kept = [i for i in range(12) if i != left_out]
        _, rest = path(network, take(batch, kept), PENALTY, clip=clip)
        change = norm([a - b for a, b in zip(whole, rest, strict=True)])
        assert change <= clip * (1 + 1e-4)
        assert change >= clip * 0.9  # the bound is reached: these gradients are clipped


@pytest.mark.parametrize("path", PATHS)
def test_the_bound_holds_where_real_and_generated_nearly_cancel(path):
    network, batch, clip = critic(), draw(1), 1e-4
    batch = batch._replace(real_BTC=batch.fake_BTC + 1e-5)
    for penalty in (0.0, PENALTY):
        _, sums = path(network, batch, penalty, clip=clip)
        assert norm(sums) <= clip * (1 + 1e-4)


@pytest.mark.parametrize("path", PATHS)
def test_an_empty_batch_gives_zeros(path):
    network = critic()
    measures, sums = path(network, draw(0), PENALTY, clip=1.0)
    assert measures.tolist() == [0, 0, 0]
    assert [s.shape for s in sums] == [w.shape for w in network.parameters()]
    assert not any(s.any() for s in sums)


@pytest.mark.parametrize("path", PATHS)
def test_the_critic_is_left_alone(path):
    network = critic()
    before = [weight.detach().clone() for weight in network.parameters()]
    path(network, draw(5), PENALTY, clip=0.1)
    assert all(torch.equal(w, b) for w, b in zip(network.parameters(), before, strict=True))
    assert all(weight.grad is None for weight in network.parameters())
