"""Trainable masks: Eq. 1-3 of paper 003 against their formulas, and what comes back."""

import numpy as np
import pytest
import torch
from torch import nn

from flwr_gan.core.tree import flatten
from flwr_gan.errors import ConfigError
from flwr_gan.gan import GanConfig, WganGpTrainer, build_networks
from flwr_gan.gan.batches import Batch
from flwr_gan.gan.critic_gradients import autograd_gradients
from flwr_gan.gan.dcgan import DepthCritic, DepthGenerator
from flwr_gan.gan.weights import load_network_arrays, network_arrays
from flwr_gan.prune.threshold_masks import LEAST_KEPT, ThresholdedNetwork, step_slope

WEIGHT = torch.tensor([[0.3, -0.2, 0.05], [-0.6, 0.1, 0.9]])
THRESHOLD = torch.tensor([0.1, 0.5])
KEPT = torch.tensor([[True, True, False], [True, False, True]])


def linear(**settings):
    """Return a layer of 3 inputs and 2 outputs with the weights above, and its masks."""
    layer = nn.Sequential(nn.Linear(3, 2))
    with torch.no_grad():
        layer[0].weight.copy_(WEIGHT)
    masks = ThresholdedNetwork(layer, **{"strength": 0.0, **settings})
    set_thresholds(layer, THRESHOLD)
    return layer, masks


def set_thresholds(layer, values):
    with torch.no_grad():
        layer[0].parametrizations.weight[0].raw_threshold.copy_(values)


def original(layer):
    return layer[0].parametrizations.weight.original


def raw(layer):
    return layer[0].parametrizations.weight[0].raw_threshold


def gradients(layer, cotangent):
    loss = (layer[0].weight * cotangent).sum()
    return torch.autograd.grad(loss, [original(layer), raw(layer)])


def test_the_estimate_is_long_tailed():
    x = torch.tensor([-1.5, -1.0, -0.7, -0.41, -0.4, -0.1, 0.0, 0.25, 0.4, 0.5, 1.0, 1.01])
    wanted = [0, 0.4, 0.4, 0.4, 0.4, 1.6, 2, 1, 0.4, 0.4, 0.4, 0]
    torch.testing.assert_close(step_slope(x), torch.tensor(wanted), rtol=0, atol=1e-6)


def test_a_mask_is_the_step_of_magnitude_minus_threshold():
    layer, masks = linear()
    assert masks.mask["0.weight"].tolist() == KEPT.tolist()
    assert torch.equal(layer[0].weight, torch.where(KEPT, WEIGHT, 0.0))
    assert not torch.signbit(layer[0].weight[~KEPT]).any()  # +0.0
    assert np.array_equal(masks.arrays()["0.weight"], torch.where(KEPT, WEIGHT, 0.0).numpy())
    assert np.array_equal(masks.arrays(dense=True)["0.weight"], WEIGHT.numpy())


@pytest.mark.parametrize("mode", ["masked", "all"])
def test_gradients_of_weights_and_thresholds_are_the_formulas(mode):
    layer, _ = linear(gradients=mode)
    cotangent = torch.tensor([[1.0, 2, 3], [-1, 4, 0.5]])
    slope = step_slope(WEIGHT.abs() - THRESHOLD[:, None])
    whole = cotangent * (KEPT + WEIGHT * slope * WEIGHT.sign())
    to_weight, to_threshold = gradients(layer, cotangent)
    torch.testing.assert_close(to_weight, whole * KEPT if mode == "masked" else whole)
    torch.testing.assert_close(to_threshold, -(cotangent * WEIGHT * slope).sum(dim=1))
    assert to_threshold.abs().min() > 0.01


def test_without_the_estimate_the_loss_reaches_kept_weights_alone():
    layer, _ = linear(estimate=False)
    cotangent = torch.tensor([[1.0, 2, 3], [-1, 4, 0.5]])
    loss = (layer[0].weight * cotangent).sum()
    to_weight, to_threshold = torch.autograd.grad(
        loss, [original(layer), raw(layer)], materialize_grads=True
    )
    assert torch.equal(to_weight, cotangent * KEPT)
    assert not to_threshold.any()


def test_the_regulariser_and_its_gradient():
    layer, masks = linear(strength=0.3)
    penalty = masks.penalty()
    assert penalty.item() == pytest.approx(0.3 * np.exp(-THRESHOLD.numpy()).sum())
    (found,) = torch.autograd.grad(penalty, raw(layer))
    torch.testing.assert_close(found, -0.3 * torch.exp(-THRESHOLD))
    masks.regrow()
    assert masks.penalty().item() == 0


def test_pace_scales_what_a_step_of_the_parameter_does():
    layer, masks = linear(pace=0.5)
    assert masks.mask["0.weight"].tolist() == [[True, True, False], [True, False, True]]
    torch.testing.assert_close(
        layer[0].parametrizations.weight[0].threshold, torch.tensor([0.05, 0.25])
    )


@pytest.mark.parametrize(
    ("layer", "channels", "axis"),
    [
        (nn.ConvTranspose2d(3, 5, 4), 5, 1),
        (nn.Conv2d(3, 5, 4), 5, 0),
        (nn.Conv1d(3, 5, 3), 5, 0),
        (nn.Linear(3, 5), 5, 0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_thresholds_are_of_output_channels(layer, channels, axis):
    network = nn.Sequential(layer)
    masks = ThresholdedNetwork(network, strength=0.0)
    assert raw(network).shape == (channels,)
    set_thresholds(network, torch.tensor([1e9, 0, 0, 0, 0]))  # one channel goes, 80 % stay
    kept = np.moveaxis(masks.mask["0.weight"], axis, 0)
    assert not kept[0].any()
    assert kept[1:].all()
    x = torch.randn(2, 3, *[9] * (network[0].weight.ndim - 2))
    assert torch.unique(network(x).detach()[:, 0]).numel() == 1  # the bias, if anything
    assert torch.unique(network(x).detach()[:, 1]).numel() > 1


def test_transposed_convolutions_with_groups_are_refused():
    network = nn.Sequential(nn.ConvTranspose2d(4, 4, 2, groups=2))
    with pytest.raises(ConfigError, match=r"0\.weight has 2 groups"):
        ThresholdedNetwork(network, strength=0.0)


def test_regrowth_brings_exactly_the_old_weights_back_and_a_restart_keeps_them():
    layer, masks = linear()
    assert not torch.equal(layer[0].weight, WEIGHT)
    masks.regrow()
    assert masks.dense
    assert torch.equal(layer[0].weight, WEIGHT)
    assert masks.mask["0.weight"].all()
    masks.restart()
    assert not masks.dense
    assert not raw(layer).any()
    assert torch.equal(layer[0].weight, WEIGHT)


def test_a_pruned_weight_returns_when_its_threshold_sinks_but_not_without_recurrence():
    for recurrent in (True, False):
        layer, masks = linear(recurrent=recurrent)
        assert not masks.mask["0.weight"][0, 2]
        set_thresholds(layer, torch.tensor([0.01, 0.5]))
        assert masks.mask["0.weight"][0, 2] == recurrent
        assert layer[0].weight[0, 2].item() == (pytest.approx(0.05) if recurrent else 0)
        masks.restart()
        assert masks.mask["0.weight"].all()


def test_training_itself_brings_a_pruned_weight_back():
    layer, masks = linear()
    adam = torch.optim.Adam(layer.parameters(), lr=0.02, betas=(0.0, 0.9))
    pruned = original(layer).detach().clone()[0, 2]
    for _ in range(20):  # the loss asks for a larger sum of the first row
        adam.zero_grad()
        (-layer[0].weight[0].sum()).backward()
        adam.step()
        if masks.mask["0.weight"][0, 2]:
            break
        assert original(layer)[0, 2] == pruned  # Eq. 2: it waits with its old value
    assert masks.mask["0.weight"][0, 2]
    assert layer[0].weight[0, 2] == pruned


@pytest.mark.parametrize("recurrent", [True, False])
def test_a_layer_never_loses_everything(recurrent):
    layer, masks = linear(recurrent=recurrent)
    before = masks.mask["0.weight"]
    set_thresholds(layer, torch.tensor([5.0, 5.0]))
    assert LEAST_KEPT == 0.01
    kept = masks.mask["0.weight"]
    if recurrent:  # thresholds start anew
        assert kept.all()
        assert masks.resets == 1
        assert not raw(layer).any()
    else:  # the last mask stays
        assert np.array_equal(kept, before)
        assert masks.resets == 0
    assert layer[0].weight.count_nonzero() == kept.sum()


def tiny_networks():
    generator = DepthGenerator((6, 5, 4, 3), latent_dim=4)
    return generator, DepthCritic((3, 4, 5, 6))


def images(count=6):
    return np.random.default_rng(0).uniform(-1, 1, (count, 64, 64)).astype(np.float32)


def test_the_gradient_penalty_goes_through_the_mask_once():
    """The penalty's gradient for thresholds is that for W * M, taken through the mask."""
    config = GanConfig(channels=(8, 6), critic_hidden=(12, 10))
    shape = {"num_vectors": 4, "num_components": 2, "num_classes": 3}
    _, plain = build_networks(config, **shape, seed=0)
    _, masked = build_networks(config, **shape, seed=0)
    masks = ThresholdedNetwork(masked, strength=0.0)
    with torch.no_grad():
        for name, parameter in masked.named_parameters():
            if name.endswith("raw_threshold"):
                parameter.fill_(0.03)
    load_network_arrays(plain, masks.arrays())
    rng = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 16, 4, 2, generator=rng), torch.arange(16) % 3
    batch = Batch(x[0], x[1], y, torch.rand(16, generator=rng))
    measures, to_masked = autograd_gradients(masked, batch, 10.0)
    same, to_plain = autograd_gradients(plain, batch, 10.0)
    torch.testing.assert_close(measures, same)
    found = dict(zip((n for n, _ in masked.named_parameters()), to_masked, strict=True))
    of_plain = dict(zip((n for n, _ in plain.named_parameters()), to_plain, strict=True))
    for layer in ("fc1", "fc2", "fc3"):
        inside = f"{layer}.parametrizations.weight"
        weight = masked.get_parameter(f"{inside}.original").detach()
        slope = step_slope(weight.abs() - 0.03)
        wanted = -(of_plain[f"{layer}.weight"] * weight * slope).sum(dim=1)
        torch.testing.assert_close(found[f"{inside}.0.raw_threshold"], wanted, rtol=1e-4, atol=1e-6)
        kept = weight.abs() > 0.03
        whole = of_plain[f"{layer}.weight"] * (1 + weight.abs() * slope)
        torch.testing.assert_close(
            found[f"{inside}.original"], torch.where(kept, whole, 0.0), rtol=1e-4, atol=1e-6
        )
        assert not kept.all()


def train_masked(seed=0, **settings):
    generator, critic = tiny_networks()
    masks = [
        ThresholdedNetwork(network, strength=0.01, **settings) for network in (generator, critic)
    ]
    config = GanConfig(
        latent_dim=4, batch_size=4, critic_iterations=1, critic_gradients="autograd",
        generator_lr=5e-3, critic_lr=5e-3,
    )  # fmt: skip
    trainer = WganGpTrainer(
        generator, critic, config=config, generator_regulariser=masks[0].penalty,
        critic_regulariser=masks[1].penalty,
    )  # fmt: skip
    rng = torch.Generator().manual_seed(seed)
    trainer.train(images(), np.zeros(6, np.int64), iterations=4, rng=rng)
    return trainer, masks, rng


def test_a_wgan_gp_with_masks_on_both_trains_and_prunes_and_is_deterministic():
    trainer, masks, _ = train_masked()
    for part in masks:
        shares = [1 - mask.mean() for mask in part.mask.values()]
        assert 0 < max(shares) < 1
    again, other, _ = train_masked()
    for first, second in zip(masks, other, strict=True):
        for name, array in first.arrays(dense=True).items():
            assert np.array_equal(array, second.arrays(dense=True)[name])
    state, same = flatten(trainer.state_dict()), flatten(again.state_dict())
    assert all(np.array_equal(state[name], same[name]) for name in state)


def test_training_leaves_pruned_weights_as_they_are_until_they_return():
    trainer, masks, rng = train_masked()
    before, kept = masks[0].arrays(dense=True), masks[0].mask
    trainer.train(images(), np.zeros(6, np.int64), iterations=1, rng=rng)
    after = masks[0].arrays(dense=True)
    for name, mask in kept.items():
        assert np.array_equal(after[name][~mask], before[name][~mask])
        assert not np.array_equal(after[name], before[name])


def test_a_dense_phase_trains_all_weights_and_no_threshold():
    trainer, masks, rng = train_masked()
    thresholds = {n: a for n, a in network_arrays(trainer.generator).items() if "raw_" in n}
    before, kept = masks[0].arrays(dense=True), masks[0].mask
    for part in masks:
        part.regrow()
    trainer.train(images(), np.zeros(6, np.int64), iterations=1, rng=rng)
    after = masks[0].arrays()
    pruned = {name: ~mask for name, mask in kept.items() if not mask.all()}
    assert pruned
    assert any((after[n][where] != before[n][where]).any() for n, where in pruned.items())
    now = network_arrays(trainer.generator)
    assert all(np.array_equal(now[name], array) for name, array in thresholds.items())


def test_arrays_fit_the_network_without_masks():
    generator, _ = tiny_networks()
    plain = network_arrays(generator)
    masks = ThresholdedNetwork(generator, strength=0.0)
    found = masks.arrays()
    assert set(found) == set(plain)
    assert all(np.array_equal(found[name], plain[name]) for name in plain)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gradients": "some"}, "gradients='some' is not allowed: give masked or all"),
        ({"strength": -1.0}, "strength=-1.0 is not allowed: give a number of at least 0"),
        ({"pace": 0.0}, "pace=0.0 is not allowed: give a number above 0"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ConfigError, match=f"^{message}$"):
        ThresholdedNetwork(nn.Sequential(nn.Linear(2, 2)), **{"strength": 0.0, **settings})


def test_a_network_without_weights_is_refused():
    with pytest.raises(ConfigError, match="no weight that can be masked"):
        ThresholdedNetwork(nn.Sequential(nn.ReLU()), strength=0.0)
