"""Training under a stage: what passes see, where gradients go, what comes out, what it gains."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from flwr_gan.errors import ConfigError, TrainingError
from flwr_gan.gan import sample
from flwr_gan.gan.losses import gradient_penalty, wasserstein_estimate
from flwr_gan.gan.weights import network_arrays
from flwr_gan.methods import Budget
from flwr_gan.methods.chain import hidden_outputs, layers_of
from flwr_gan.methods.decoded import StageChain
from flwr_gan.methods.straight_through import DecodedGenerator, DecodedNetwork, StraightThrough
from flwr_gan.wire import decode_payload, encode_payload
from tests.methods.small_gans import (
    CENTRES_KTC,
    assert_leaves_the_gan_and_repeats,
    assert_same,
    inputs,
    loaded,
    pruned,
    seeded,
    stroke_gan,
    with_arrays,
)

pytestmark = pytest.mark.usefixtures("one_thread")
EXACT = (
    "ternary",
    "ternary:channel",
    "binary",
    "binary:network",
    "codebook:8",
    "codebook:8:network",
    "cast:fp16",
    "cast:bf16",
    "flexpoint",
    "prune:magnitude:0.5",
    "quantize:int2",
)
ROUNDED = (
    "quantize:int8:channel",
    "quantize:int4",
    "quantize:int3:network",
    "quantize:affine4",
    "quantize:affine1:channel",
    "quantize:em2",
    "lowrank:rank:3",
    "prune:magnitude:0.5+quantize:int4",
)


def received(arrays, stage):
    return decode_payload(encode_payload(arrays, codec=f"{stage}+sparse", lossy="all"))


@pytest.mark.parametrize("stage", ["quantize:int4:channel", "binary", "codebook:8:network"])
def test_a_pass_computes_what_the_receiver_would(gan, stage):
    seen = DecodedGenerator(gan.generator, StageChain(stage))
    arrays = received(network_arrays(gan.generator), stage)
    expected = loaded(gan.generator, arrays)(*inputs(gan.generator))
    assert torch.equal(seen(*inputs(gan.generator)), expected)
    assert not torch.equal(expected, gan.generator(*inputs(gan.generator)))


@pytest.mark.parametrize("stage", ["quantize:int4", "ternary"])
def test_float_weights_get_the_gradient_of_the_decoded_ones(gan, stage):
    seen = DecodedGenerator(gan.generator, StageChain(stage))
    plain = loaded(gan.generator, received(network_arrays(gan.generator), stage))
    for network in (seen, plain):
        network(*inputs(plain)).square().sum().backward()
    for (name, weight), (_, other) in zip(
        seen.named_parameters(), plain.named_parameters(), strict=True
    ):
        assert torch.equal(weight.grad, other.grad), name
    assert any(bool(weight.grad.any()) for weight in seen.parameters())


@pytest.mark.parametrize("stage", ["quantize:int4", "codebook:4"])
def test_without_training_it_is_coding_after_training(gan, stage):
    made = StraightThrough(stage=stage).compress(gan, iterations=0, rng=seeded())
    assert_same(network_arrays(made), received(network_arrays(gan.generator), stage))


@pytest.mark.parametrize("stage", EXACT + ROUNDED)
def test_coding_the_result_again_loses_nothing_or_a_rounding(strokes, stage):
    made = StraightThrough(stage=stage).compress(strokes, iterations=3, rng=seeded())
    arrays = network_arrays(made)
    again = received(arrays, stage)
    if stage in EXACT:
        assert_same(arrays, again)
    for name, array in arrays.items():
        assert np.abs(array - again[name]).max() <= 2.0**-20 * np.abs(array).max(), name
    lost = received(network_arrays(strokes.generator), stage)["fc.weight"]
    assert np.abs(lost - network_arrays(strokes.generator)["fc.weight"]).max() > 1e-6


@pytest.mark.parametrize("stage", ["ternary", "quantize:em3"])
def test_transposed_convolutions_and_biases_too(images, stage):
    made = StraightThrough(stage=stage).compress(images, iterations=2, rng=seeded())
    arrays = network_arrays(made)
    again = received(arrays, stage)
    for name, array in arrays.items():
        most = 3 if stage == "ternary" else 8
        assert len(np.unique(array)) <= most, name
        assert np.abs(array - again[name]).max() <= 2.0**-20 * np.abs(array).max(), name


@pytest.mark.parametrize("stage", ["quantize:int2", "binary"])
def test_pruned_weights_stay_zero_and_no_other_becomes_zero(gan, stage):
    sparse = pruned(gan)
    made = StraightThrough(stage=stage).compress(sparse, iterations=3, rng=seeded())
    start = network_arrays(sparse.generator)
    for name, array in network_arrays(made).items():
        np.testing.assert_array_equal(array != 0, start[name] != 0)


def test_it_trains_repeats_and_leaves_the_gan_alone(gan):
    made = assert_leaves_the_gan_and_repeats(StraightThrough(stage="quantize:int4"), gan)
    start = StraightThrough(stage="quantize:int4").compress(gan, iterations=0, rng=seeded(1))
    moved = network_arrays(start)
    assert all(not np.array_equal(a, moved[n]) for n, a in network_arrays(made).items())


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_activations_are_whole_multiples_of_a_scale_for_each_sample_and_layer(gan, bits):
    given = inputs(gan.generator)
    student = StraightThrough(stage="quantize:int8", activations=bits).student(gan.generator)
    plain, seen = hidden_outputs(gan.generator), hidden_outputs(student)
    found = {}
    for at, layer in enumerate(seen):
        layer.register_forward_hook(lambda layer, x, y, at=at: found.update({at: (x[0], y)}))
    x_BTC = student(*given)
    for at, (took, gave) in found.items():
        active = torch.relu(plain[at](took)).detach().double().numpy()
        peaks = active.reshape(len(active), -1).max(axis=1)
        scale = (peaks / (2**bits - 1)).reshape(-1, *[1] * (active.ndim - 1))
        active = np.rint(active / scale) * scale
        assert max(len(np.unique(part)) for part in gave.detach().numpy()) <= 2**bits
        np.testing.assert_allclose(gave.detach().numpy(), active, atol=1.01 * scale.max())
        off = np.abs(gave.detach().numpy() - active) > 1e-4 * scale.max()
        assert off.mean() < 0.01  # float32 rounds a few ties the other way
    labels = given[1].numpy()
    drawn = [sample(each, labels, rng=seeded(3)) for each in (student, gan.generator)]
    assert np.abs(drawn[0] - drawn[1]).max() > 1e-6
    x_BTC.square().sum().backward()
    for layer in layers_of(student):
        assert bool(layer.weight.grad.any())  # rounding lets the gradient through


def test_a_generator_with_few_bits_of_everything_is_trained_and_given_back(gan):
    method = StraightThrough(stage="quantize:int4", critic="quantize:int4:channel", activations=6)
    made = assert_leaves_the_gan_and_repeats(method, gan)
    again = loaded(method.student(gan.generator), network_arrays(made))
    assert torch.equal(made(*inputs(made)), again(*inputs(made)))
    assert not torch.equal(
        made(*inputs(made)), loaded(gan.generator, network_arrays(made))(*inputs(made))
    )
    sparse = pruned(gan, 0.9)  # with products of sparse matrices, where these are faster
    kept = network_arrays(method.compress(sparse, iterations=2, rng=seeded()))
    for name, array in network_arrays(sparse.generator).items():
        np.testing.assert_array_equal(kept[name] != 0, array != 0)


def test_a_critic_under_a_stage_has_the_slopes_and_gradients_of_its_decoded_weights(gan):
    seen = DecodedNetwork(gan.critic, StageChain("quantize:int3"))
    plain = loaded(gan.critic, received(network_arrays(gan.critic), "quantize:int3"))
    real, fake, y_B = (
        torch.from_numpy(gan.x_NTC[:4]),
        torch.from_numpy(gan.x_NTC[4:8]),
        torch.zeros(4, dtype=torch.int64),
    )
    found = []
    for critic in (seen, plain):
        loss = gradient_penalty(critic, real, fake, y_B, torch.full((4,), 0.3))
        loss = loss - wasserstein_estimate(critic, real, fake, y_B)
        found.append(torch.autograd.grad(loss, list(critic.parameters()), materialize_grads=True))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)
    alone, both = (
        StraightThrough(stage="ternary", critic=critic).compress(gan, iterations=2, rng=seeded())
        for critic in (None, "binary")
    )
    assert any(
        not np.array_equal(a, network_arrays(both)[n]) for n, a in network_arrays(alone).items()
    )


def test_small_steps_add_up_although_no_code_changes_at_first(strokes):
    # A float weight that moves by less than half a step is not seen, and not lost either.
    slow = replace(strokes, config=replace(strokes.config, generator_lr=1e-6))
    seen = DecodedGenerator(slow.generator, StageChain("ternary"))
    Budget(iterations=3, rng=seeded()).train(slow, seen)
    for name, weight in seen.floats.named_parameters():
        before = slow.generator.get_parameter(name)
        assert not torch.equal(weight, before)
        assert torch.allclose(weight, before, atol=1e-5)


def test_decoded_weights_are_made_anew_after_so_many_updates(strokes):
    seen = DecodedGenerator(strokes.generator, StageChain("cast:bf16"), refresh_every=3)
    shown = []
    for _ in range(7):
        with torch.no_grad():
            seen(*inputs(strokes.generator))
            seen(*inputs(strokes.generator))  # nothing has changed: no update
            shown.append(seen._decoded["fc.weight"].clone())
            for weight in seen.parameters():
                weight.mul_(1.5)
    fresh = [not torch.equal(a, b) for a, b in pairwise(shown)]
    assert fresh == [False, False, True, False, False, True]
    assert torch.equal(shown[3], (seen.floats.fc.weight / 1.5**4).bfloat16().float())


def difference(generator, teacher):
    """Return the mean squared difference of what two generators make."""
    given = inputs(teacher, 64)
    return (generator(*given) - teacher(*given)).square().mean()


@pytest.mark.long
@pytest.mark.parametrize(
    ("stage", "factor"), [("quantize:int4", 2), ("quantize:int3:channel", 2), ("ternary", 4)]
)
def test_training_under_a_stage_beats_coding_after_training(strokes, stage, factor):
    # The float weights already are the best there are, so any gain is the stage's own.
    teacher = strokes.generator
    after = loaded(teacher, received(network_arrays(teacher), stage))
    seen = DecodedGenerator(teacher, StageChain(stage))
    adam = torch.optim.Adam(seen.parameters(), lr=1e-3)
    # at a constant rate weights cross the limits of their steps until the end, and luck decides
    falling = torch.optim.lr_scheduler.LinearLR(adam, 1.0, 0.0, total_iters=150)
    for _ in range(150):
        adam.zero_grad()
        difference(seen, teacher).backward()
        adam.step()
        falling.step()
    arrays = {name: weight.numpy() for name, weight in seen.decoded().items()}
    during = loaded(teacher, arrays)
    assert difference(after, teacher) > factor * difference(during, teacher)


@pytest.mark.long
def test_adversarial_training_under_one_bit_beats_coding_after_as_much_training():
    gan = stroke_gan(iterations=100)
    longer = loaded(gan.generator, network_arrays(gan.generator))
    Budget(iterations=100, rng=seeded(1)).train(gan, longer)
    after = loaded(longer, received(network_arrays(longer), "binary"))
    during = StraightThrough(stage="binary").compress(gan, iterations=100, rng=seeded(1))
    labels = np.repeat(np.arange(len(CENTRES_KTC)), 200)
    after_mse, during_mse = (
        np.mean((sample(made, labels, rng=seeded(5)) - CENTRES_KTC[labels]) ** 2)
        for made in (after, during)
    )
    assert after_mse > 1.3 * during_mse


def test_weights_that_cannot_be_coded(strokes):
    large = {n: a * np.float32(1e6) for n, a in network_arrays(strokes.generator).items()}
    method = StraightThrough(stage="cast:fp16")
    with pytest.raises(ConfigError, match=r"method\.stage='cast:fp16' does not fit this generator"):
        method.compress(with_arrays(strokes, large), iterations=1, rng=seeded())
    seen = DecodedGenerator(strokes.generator, StageChain("cast:fp16"))
    seen(*inputs(strokes.generator))
    with torch.no_grad():
        seen.floats.fc.weight[0, 0] = 1e6
    with pytest.raises(TrainingError, match=r"cannot be coded any more: cast:fp16.*learning rates"):
        seen(*inputs(strokes.generator))
