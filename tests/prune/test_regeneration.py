"""Augmented regeneration: when networks are dense again and when they are pruned on."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from flwr_gan.core.tree import flatten, unflatten
from flwr_gan.errors import ConfigError, DataError
from flwr_gan.gan import GanConfig, WganGpTrainer, build_networks
from flwr_gan.gan.dcgan import build_depth_networks
from flwr_gan.gan.sngan import SpectralCritic
from flwr_gan.gan.weights import network_arrays
from flwr_gan.prune.regeneration import (
    WEIGHTS,
    AugmentedRegeneration,
    RegeneratingGenerator,
    RegenerationConfig,
)
from flwr_gan.prune.threshold_masks import ThresholdedNetwork


def pruned_network():
    network = nn.Sequential(nn.Linear(4, 3))
    masks = ThresholdedNetwork(network, strength=0.0)
    with torch.no_grad():
        network[0].parametrizations.weight[0].raw_threshold.fill_(0.2)
        network[0].parametrizations.weight.original.copy_(torch.linspace(-1, 1, 12).view(3, 4))
    return masks


def test_nothing_happens_before_there_are_five_scores():
    rule = AugmentedRegeneration([pruned_network()])
    assert [rule.check(score) for score in (1.0, 50.0, 2.0, 90.0, 1.0)] == [False] * 5


def test_the_limit_is_the_weighted_mean_of_the_previous_five():
    rule = AugmentedRegeneration([])
    for score in (100.0, 10.0, 20.0, 30.0, 40.0, 50.0):
        rule.check(score)
    wanted = sum(w * s for w, s in zip(WEIGHTS, (10, 20, 30, 40, 50), strict=True))
    assert rule.limit == pytest.approx(wanted)
    assert sum(WEIGHTS) == pytest.approx(1)
    assert not AugmentedRegeneration.check(rule, rule.limit)  # no worse than it


def test_worse_is_dense_with_the_old_weights_and_better_prunes_on_from_zero():
    masks = pruned_network()
    before, kept = masks.arrays(dense=True), masks.mask["0.weight"]
    rule = AugmentedRegeneration([masks])
    for score in (10.0, 9.0, 8.0, 7.0, 6.0):
        rule.check(score)
    assert not kept.all()
    assert rule.check(20.0)
    assert masks.dense
    assert (masks.arrays()["0.weight"] == before["0.weight"]).all()
    assert rule.check(30.0)  # still worse, still dense
    assert masks.dense
    assert not rule.check(1.0)
    assert not masks.dense
    assert masks.mask["0.weight"].all()  # thresholds are 0


def test_a_score_that_is_not_finite_is_worse_and_forgotten():
    rule = AugmentedRegeneration([], weights=[1.0, 1.0])
    assert rule.check(float("nan"))
    rule.check(2.0)
    rule.check(4.0)
    assert rule.limit == 3
    assert rule.check(float("inf"))
    assert rule.limit == 3


@pytest.mark.parametrize("weights", [(), (1.0, 0.0), (float("nan"),)])
def test_bad_weights_are_named(weights):
    with pytest.raises(ConfigError, match="is not allowed: give numbers above 0"):
        AugmentedRegeneration([], weights=weights)


CONFIG = GanConfig(
    latent_dim=4, channels=(8, 6), critic_hidden=(12, 10), batch_size=8, critic_iterations=2,
    generator_lr=0.02,
)  # fmt: skip
FAST = RegenerationConfig(strength=0.05, pace=0.5)


class Client:
    """A generator under trained masks, its critic and trainer."""

    def __init__(self, settings=FAST):
        networks = build_networks(CONFIG, num_vectors=4, num_components=3, num_classes=2, seed=0)
        self.critic = networks[1]
        self.masks = RegeneratingGenerator(networks[0], settings, self.critic)
        gradients = "autograd" if settings.critic else "closed_form"
        self.trainer = WganGpTrainer(
            *networks, config=replace(CONFIG, critic_gradients=gradients),
            generator_regulariser=self.masks.penalty, critic_regulariser=self.masks.critic_penalty,
        )  # fmt: skip

    def train(self, seed, iterations=6):
        rng = np.random.default_rng(0)
        x, y = rng.uniform(-1, 1, (20, 4, 3)).astype(np.float32), rng.integers(2, size=20)
        self.trainer.train(x, y, iterations=iterations, rng=torch.Generator().manual_seed(seed))

    def state(self):
        return flatten({"t": self.trainer.state_dict(), "m": self.masks.state_dict()})

    def load(self, state):
        tree = unflatten(state)
        self.trainer.load_state_dict(tree["t"])
        self.masks.load_state_dict(tree["m"])


ORIGINAL = "fc.parametrizations.weight.original"
THRESHOLD = "fc.parametrizations.weight.0.raw_threshold"


def own_values(client):
    """Return copies of the client's own weights of the first layer, and of its thresholds."""
    state = client.masks.state_dict()["masks"]
    return tuple(state[name].numpy().copy() for name in (ORIGINAL, THRESHOLD))


def same(a, b):
    assert list(a) == list(b)
    for name in a:
        assert np.array_equal(a[name], b[name], equal_nan=a[name].dtype.kind == "f"), name


@pytest.mark.parametrize("recurrent", [True, False])
@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("critic", [True, False])
def test_going_on_from_stored_state_equals_going_on(recurrent, dense, critic):
    settings = replace(FAST, recurrent=recurrent, critic=critic)
    first, second = Client(settings), Client(settings)
    first.train(1)
    for score in [1.0] * 5 + [9.0 if dense else 0.5]:
        first.masks.check(score)
    assert first.masks.dense is dense
    second.load(first.state())
    assert second.masks.dense is dense
    same(first.masks.arrays(), second.masks.arrays())
    for client in (first, second):
        client.train(2)
        client.masks.check(2.0)
    same(first.state(), second.state())


@pytest.mark.long
def test_a_masked_critic_is_pruned_and_follows_the_phase_of_the_generator():
    client = Client(replace(FAST, critic=True))
    weights = {name: getattr(client.critic, name) for name in ("fc1", "fc2", "fc3")}
    client.train(1, iterations=20)
    gone = {name: (layer.weight == 0).float().mean() for name, layer in weights.items()}
    assert 0.02 < max(gone.values()) < 0.99
    for layer in weights.values():  # Eq. 1 of paper 003, by row
        mask = layer.parametrizations.weight[0]
        raw, limit = layer.parametrizations.weight.original, mask.raw_threshold * FAST.pace
        wanted = torch.where(raw.abs() > limit[:, None], raw, 0.0)
        assert torch.equal(layer.weight, wanted)
        assert raw.all()
    for score in [1.0] * 5 + [9.0]:
        client.masks.check(score)
    client.train(2, iterations=1)
    assert all(bool(layer.weight.all()) for layer in weights.values())
    client.masks.check(0.5)
    client.train(3, iterations=20)
    assert any(not bool(layer.weight.all()) for layer in weights.values())
    assert Client().masks.critic_penalty is None


def test_it_prunes_and_a_pruned_weight_keeps_its_value():
    client = Client()
    client.train(1, iterations=20)
    sparse, hidden = client.masks.arrays(), client.masks.state_dict()["masks"]
    gone = sparse["fc.weight"] == 0
    assert 0.02 < gone.mean() < 0.98
    assert hidden[ORIGINAL][torch.from_numpy(gone)].all()


def test_zeros_of_a_broadcast_leave_own_values_behind_the_mask():
    client = Client()
    client.train(1, iterations=20)
    before, thresholds = own_values(client)
    sent = {n: np.full_like(a, 2.0) for n, a in client.masks.arrays().items()}
    sent["fc.weight"][::2] = 0
    client.masks.receive(sent)
    after, unchanged = own_values(client)
    assert np.array_equal(after[::2], before[::2])
    assert (after[1::2] == 2).all()
    assert np.array_equal(unchanged, thresholds)
    assert (client.masks.arrays()["fc.weight"][1::2] == 2).all()


def test_state_of_another_network_is_refused():
    client = Client()
    state = unflatten(flatten(client.masks.state_dict()))
    del state["masks"][THRESHOLD]
    with pytest.raises(DataError, match="raw_threshold"):
        client.masks.load_state_dict(state)


def test_scores_are_kept():
    one, other = AugmentedRegeneration([]), AugmentedRegeneration([])
    for score in (3.0, 2.0, 4.0, 1.0, 2.5, 3.5):
        one.check(score)
    other.load_state_dict(one.state_dict())
    assert one.limit == other.limit
    assert one.dense == other.dense
    fewer = AugmentedRegeneration([])
    fewer.check(1.0)
    other.load_state_dict(fewer.state_dict())
    assert other.limit == float("inf")


def test_buffers_of_a_spectral_norm_are_kept():
    def trainer():
        networks = build_depth_networks(2, side=32, latent_dim=4, seed=0, critic=SpectralCritic)
        config = GanConfig(
            latent_dim=4, batch_size=4, critic_iterations=1, critic_gradients="autograd",
            loss="hinge",
        )  # fmt: skip
        return WganGpTrainer(*networks, config=config)

    def train(one, seed):
        x = np.random.default_rng(0).uniform(-1, 1, (8, 32, 32)).astype(np.float32)
        rng = torch.Generator().manual_seed(seed)
        one.train(x, np.zeros(8, np.int64), iterations=2, rng=rng)

    first, second = trainer(), trainer()
    train(first, 1)
    state = unflatten(flatten(first.state_dict()))
    assert [name for name in state["critic"] if name.endswith("u_H")]
    second.load_state_dict(state)
    for name, weight in network_arrays(first.generator).items():
        second.generator.get_parameter(name).data.copy_(torch.from_numpy(weight))
    for one in (first, second):
        train(one, 2)
    same(flatten(first.state_dict()), flatten(second.state_dict()))


def test_the_critic_of_this_project_has_no_buffers_to_keep():
    networks = build_networks(CONFIG, num_vectors=4, num_components=3, num_classes=2, seed=0)
    state = WganGpTrainer(*networks, config=CONFIG).state_dict()
    assert list(state["critic"]) == list(network_arrays(networks[1]))


@pytest.mark.parametrize(
    ("settings", "key"), [({"strength": -1}, "strength"), ({"pace": 0}, "pace"),
                          ({"gradients": "some"}, "gradients")],
)  # fmt: skip
def test_bad_settings_are_named(settings, key):
    with pytest.raises(ConfigError, match=f"regeneration.{key}="):
        RegenerationConfig(**settings)
