"""Masks: exact counts, nesting, rewinding, collapse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flwr_gan.core.tree import flatten, unflatten
from flwr_gan.errors import ConfigError, DataError, LayerCollapseError, TrainingError
from flwr_gan.prune import LotteryPruner, pruned_count
from flwr_gan.prune.magnitude import kept_weights
from flwr_gan.wire import decode_payload, describe_payload, encode_payload

SHAPES = {"fc.weight": (20, 7), "conv1.weight": (6, 5, 3), "conv2.weight": (2, 6, 3)}


def weights(seed=0, *, decimals=None):
    rng = np.random.default_rng(seed)
    arrays = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}
    if decimals is not None:  # many equal magnitudes
        arrays = {name: array.round(decimals) for name, array in arrays.items()}
    return arrays


def pruned(mask):
    return sum(int((~layer).sum()) for layer in mask.values())


@settings(max_examples=40, deadline=None)
@given(
    rate=st.floats(0.01, 0.9),
    levels=st.integers(1, 6),
    decimals=st.sampled_from([None, 1, 0]),
    scope=st.sampled_from(["global", "local"]),
)
def test_counts_are_exact_and_masks_are_nested(rate, levels, decimals, scope):
    pruner = LotteryPruner(weights(), rate=rate, scope=scope, min_kept_per_layer=1)
    before = pruner.mask
    for level in range(1, levels + 1):
        try:
            mask = pruner.prune(weights(level, decimals=decimals))
        except LayerCollapseError:
            return
        assert pruner.level == level
        for name, layer in mask.items():
            assert not (layer & ~before[name]).any()
            if scope == "local":
                count = pruned_count(layer.size, rate, level)
                assert (~layer).sum() == min(count, layer.size - 1)
        if scope == "global":
            assert pruned(mask) == pruner.num_pruned == pruned_count(266, rate, level)
            assert pruner.sparsity == pruner.num_pruned / 266
        before = mask


def test_the_smallest_go_first_over_all_layers():
    trained = weights(1)
    pruner = LotteryPruner(weights(), rate=0.3)
    mask = pruner.prune(trained)
    kept = np.concatenate([np.abs(trained[n][mask[n]]) for n in mask])
    gone = np.concatenate([np.abs(trained[n][~mask[n]]) for n in mask])
    assert gone.max() <= kept.min()
    shares = {name: (~layer).mean() for name, layer in mask.items()}
    assert len(set(shares.values())) > 1


def test_of_equal_magnitudes_the_last_go():
    initial = {"a": np.ones((2, 3), np.float32), "b": -np.ones((1, 4), np.float32)}
    mask = LotteryPruner(initial, rate=0.3).prune(initial)
    assert mask["a"].all()
    np.testing.assert_array_equal(mask["b"], [[True, False, False, False]])


@pytest.mark.parametrize("scope", ["global", "local"])
def test_biases_are_neither_pruned_nor_counted(scope):
    trained = {"w": np.arange(1, 11, dtype=np.float32).reshape(2, 5), "b": np.zeros(3, np.float32)}
    pruner = LotteryPruner(trained, rate=0.2, scope=scope)
    mask = pruner.prune(trained)
    assert mask["b"].all()
    assert (~mask["w"]).sum() == 2
    assert (pruner.num_weights, pruner.num_pruned, pruner.sparsity) == (10, 2, 0.2)


def test_zeros_are_pruned_weights_but_for_biases():
    kept = kept_weights({"w": np.array([[0, 1]], np.float32), "b": np.array([0, 1], np.float32)})
    np.testing.assert_array_equal(kept["w"], [[False, True]])
    assert kept["b"].all()


def test_a_ticket_of_decoded_weights_has_the_mask_that_the_codec_derives():
    rng = np.random.default_rng(0)
    trained = {"fc": rng.standard_normal((128, 90)), "conv": rng.standard_normal((16, 32, 3))}
    trained = {name: array.astype(np.float32) for name, array in trained.items()}
    held = decode_payload(encode_payload(trained, codec="sparse:int8"))  # full of equal magnitudes
    pruner = LotteryPruner(held, rate=0.2)
    pruner.prune(held)
    payload = encode_payload(pruner.rewind(held), codec="sparse", base=held)
    assert describe_payload(payload).sizes.mask_bytes == 11


def test_weights_that_grew_back_stay_pruned():
    pruner = LotteryPruner(weights(), rate=0.3)
    first = pruner.prune(weights(1))
    trained = {n: np.where(first[n], w, 100).astype(np.float32) for n, w in weights(2).items()}
    second = pruner.prune(trained)
    assert all(not (second[n] & ~first[n]).any() for n in second)


def test_rewound_weights_are_mask_times_initial_weights_bit_for_bit():
    initial = weights()
    pruner = LotteryPruner(initial, rate=0.6)
    kept_copy = {name: array.copy() for name, array in initial.items()}
    mask = pruner.prune(weights(1))
    initial["fc.weight"][:] = 7  # the pruner keeps its own copy
    early = weights(5)
    for source, rewound in ((kept_copy, pruner.rewind()), (early, pruner.rewind(early))):
        for name, array in rewound.items():
            assert array.dtype == np.float32
            assert array[mask[name]].tobytes() == source[name][mask[name]].tobytes()
            assert array[~mask[name]].tobytes() == bytes(4 * int((~mask[name]).sum()))


def test_initial_weights_and_masks_cannot_be_changed_from_outside():
    pruner = LotteryPruner(weights(), rate=0.5)
    pruner.mask["fc.weight"][:] = False
    pruner.initial["fc.weight"][:] = 0
    assert pruner.num_pruned == 0
    np.testing.assert_array_equal(pruner.rewind()["fc.weight"], weights()["fc.weight"])


@pytest.mark.parametrize("scope", ["global", "local"])
def test_a_collapsing_layer_is_named_and_nothing_changes(scope):
    trained = weights()
    trained["conv2.weight"] *= 1e-3
    pruner = LotteryPruner(weights(), rate=0.3 if scope == "global" else 0.99, scope=scope)
    with pytest.raises(LayerCollapseError, match=r"'conv2\.weight' would lose all of its 36"):
        pruner.prune(trained)
    assert (pruner.level, pruner.num_pruned) == (0, 0)


def test_a_floor_keeps_the_largest_of_each_layer_and_the_count_stays_exact():
    trained = weights()
    trained["conv2.weight"] *= 1e-3
    pruner = LotteryPruner(weights(), rate=0.4, min_kept_per_layer=5)
    for level in range(1, 4):
        mask = pruner.prune(trained)
        assert pruner.num_pruned == pruned_count(266, 0.4, level)
        assert mask["conv2.weight"].sum() == 5
    magnitude = np.abs(trained["conv2.weight"])
    assert magnitude[mask["conv2.weight"]].min() >= np.sort(magnitude.ravel())[-5]


def test_a_floor_that_leaves_too_little_to_prune_is_an_error():
    pruner = LotteryPruner(weights(), rate=0.9, min_kept_per_layer=30)
    with pytest.raises(LayerCollapseError, match="min_kept_per_layer"):
        pruner.prune(weights())


def test_weights_that_are_not_finite_are_named_unless_pruned():
    pruner = LotteryPruner(weights(), rate=0.3)
    mask = pruner.prune(weights(1))
    trained = {n: np.where(mask[n], w, np.nan).astype(np.float32) for n, w in weights(2).items()}
    pruner.prune(trained)
    trained["conv1.weight"][:] = np.inf
    with pytest.raises(TrainingError, match=r"'conv1\.weight'"):
        pruner.prune(trained)


def test_state_goes_through_arrays():
    pruner = LotteryPruner(weights(), rate=0.3)
    pruner.prune(weights(1))
    again = LotteryPruner(weights(8), rate=0.3)
    again.load_state_dict(unflatten(flatten(pruner.state_dict())))
    assert again.level == 1
    first, second = pruner.prune(weights(2)), again.prune(weights(2))
    for name in SHAPES:
        np.testing.assert_array_equal(first[name], second[name])
        np.testing.assert_array_equal(pruner.rewind()[name], again.rewind()[name])
    state = unflatten(flatten(pruner.state_dict()))
    del state["mask"]["fc.weight"]
    with pytest.raises(DataError, match=r"weights are of shapes"):
        again.load_state_dict(state)


def test_other_weights_and_settings_are_refused():
    pruner = LotteryPruner(weights())
    with pytest.raises(DataError, match="are needed"):
        pruner.prune({"fc.weight": np.ones((20, 7), np.float32)})
    with pytest.raises(ConfigError, match=r"lottery\.scope='layer'"):
        LotteryPruner(weights(), scope="layer")
