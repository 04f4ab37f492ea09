"""Two critics: what the student critic learns, what the generator learns, what stays."""

import numpy as np
import pytest
import torch
from torch import nn

from flwr_gan.errors import ConfigError, TrainingError
from flwr_gan.gan.batches import Batch
from flwr_gan.gan.losses import gradient_penalty, wasserstein_estimate
from flwr_gan.gan.weights import network_arrays
from flwr_gan.methods.chain import channel_counts
from flwr_gan.methods.distillation_losses import triplet_loss
from flwr_gan.methods.two_critics import (
    CRITIC_TERMS,
    GENERATOR_TERMS,
    StudentCritic,
    TwoCriticDistillation,
    narrower_critic,
)
from tests.methods.small_gans import assert_leaves_the_gan_and_repeats
from tests.methods.tiny_gans import FAMILIES, outputs, seeded, tiny_gan

EQUAL = dict.fromkeys(GENERATOR_TERMS, 1.0)
CRITIC_EQUAL = dict.fromkeys(CRITIC_TERMS, 1.0)


def batch_of(gan, count=8):
    """Return a batch whose fakes are noise, and what the teacher makes for its labels."""
    rng = seeded(3)
    real_BTC, y_B = torch.from_numpy(gan.x_NTC[:count]), torch.from_numpy(gan.y_N[:count])
    fake_BTC = torch.rand(real_BTC.shape, generator=rng) * 2 - 1
    with torch.no_grad():
        made_BTC = gan.generator(torch.randn(count, 4, generator=rng), y_B)
    return Batch(real_BTC, fake_BTC, y_B, torch.rand(count, generator=rng)), made_BTC


def student_critic(gan, losses, width=0.5):
    critic = narrower_critic(gan.critic, width, seed=4)
    return StudentCritic(critic, gan.critic, losses=losses, config=gan.config, seed=5)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_narrower_critic_has_a_share_of_the_channels_and_scores(family):
    gan = tiny_gan(family)
    critic = narrower_critic(gan.critic, 0.5, seed=4)
    batch, _ = batch_of(gan)
    widths = [layer.shape[1] for layer in critic.features(batch.real_BTC, batch.y_B)[:-1]]
    assert widths == {"vectors": [6, 5], "depth": [2, 2, 2, 3]}[family]
    assert type(critic) is type(gan.critic)


def test_a_critic_of_another_class_is_an_error():
    with pytest.raises(ConfigError, match="a Linear cannot be made narrower"):
        narrower_critic(nn.Linear(2, 1), 0.5, seed=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_critics_terms_are_what_their_names_say(family):
    gan = tiny_gan(family)
    batch, made_BTC = batch_of(gan)
    own = student_critic(gan, CRITIC_EQUAL)
    terms = own.terms(batch, made_BTC)
    estimate = wasserstein_estimate(own.critic, batch.real_BTC, batch.fake_BTC, batch.y_B)
    penalty = gradient_penalty(own.critic, *batch)
    assert terms["adversarial"].item() == pytest.approx((10 * penalty - estimate).item(), rel=1e-5)
    seen = {
        name: own.critic.features(x_BTC, batch.y_B)[:-1]
        for name, x_BTC in (("real", batch.real_BTC), ("made", made_BTC), ("fake", batch.fake_BTC))
    }
    expected = triplet_loss(seen["real"], seen["made"], seen["fake"])
    assert terms["triplet"].item() == pytest.approx(expected.item(), rel=1e-5)
    features = 0.0
    for name, x_BTC in (("real", batch.real_BTC), ("made", made_BTC)):
        theirs = gan.critic.features(x_BTC, batch.y_B)[:-1]
        for mine, their, mapping in zip(seen[name], theirs, own.mappings, strict=True):
            mapped = torch.einsum(
                "hs,bsn->bhn", mapping.weight[:, :, 0], mine.reshape(8, mine.shape[1], -1)
            )
            mapped = mapped + mapping.bias[:, None]
            difference = mapped - their.reshape(8, their.shape[1], -1)
            features += difference.square().mean().item()
    assert terms["features"].item() == pytest.approx(features, rel=1e-4)


@pytest.mark.parametrize("name", list(CRITIC_EQUAL))
def test_each_term_alone_trains_the_critic(name):
    gan = tiny_gan(critic_lr=0.01)
    batch, made_BTC = batch_of(gan)
    own = student_critic(gan, {name: 1.0})
    before = [p.detach().clone() for p in own.mappings.parameters()]
    losses = [own.step(batch, made_BTC).item() for _ in range(60)]
    assert losses[-1] < losses[0]
    moved = [(p != b).any().item() for p, b in zip(own.mappings.parameters(), before, strict=True)]
    assert moved == [name == "features"] * 4


@pytest.mark.parametrize("family", FAMILIES)
def test_the_gan_stays_and_the_same_seed_gives_the_same_student(family):
    method = TwoCriticDistillation(width=0.5)
    student = assert_leaves_the_gan_and_repeats(method, tiny_gan(family))
    expected = tuple(max(1, round(0.5 * c)) for c in channel_counts(tiny_gan(family).generator))
    assert channel_counts(student) == expected


@pytest.mark.long
def test_the_student_comes_near_its_teacher():
    gan = tiny_gan(generator_lr=0.01)
    method = TwoCriticDistillation(width=1.0, losses={**EQUAL, "pixel": 20.0})

    def error(iterations: int) -> float:
        student = method.compress(gan, iterations=iterations, rng=seeded())
        return float(np.square(outputs(student) - outputs(gan.generator)).mean())

    assert error(80) < error(0) / 3


@pytest.mark.parametrize("name", list(EQUAL))
def test_each_generator_term_alone_moves_the_student(name):
    gan = tiny_gan()
    method = TwoCriticDistillation(losses={name: 1.0})
    first, second = (
        network_arrays(method.compress(gan, iterations=n, rng=seeded())) for n in (0, 2)
    )
    assert all((first[key] != second[key]).any() for key in first)


def test_a_loss_that_is_not_finite_is_an_error():
    gan = tiny_gan()
    with torch.no_grad():
        gan.generator.fc.weight[0, 0] = torch.nan
    with pytest.raises(TrainingError, match="critic's loss is nan at iteration 1 of 2"):
        TwoCriticDistillation().compress(gan, iterations=2, rng=seeded())
