"""Pruning before coding: exact counts, ties, scopes, and a control that is the same everywhere."""

import hashlib

import numpy as np
import pytest

from flwr_gan.wire import decode_payload
from flwr_gan.wire.codecs import get_codec
from flwr_gan.wire.stages import get_stage
from tests.wire.stages.all_arrays import encode_payload

RNG = np.random.default_rng(3)
WIDE = RNG.normal(size=(30, 20)).astype(np.float32)
NARROW = (0.01 * RNG.normal(size=(10, 7, 3))).astype(np.float32)


def pruned(spec, *arrays):
    return [parts[0] for parts in get_stage(spec).apply(list(arrays))[1]]


@pytest.mark.parametrize("criterion", ["magnitude", "random"])
@pytest.mark.parametrize("fraction", ["0.0001", "0.1", "0.5", "0.7777", "0.9999"])
def test_counts_are_exact(criterion, fraction):
    total = WIDE.size + NARROW.size
    both = pruned(f"prune:{criterion}:{fraction}:global", WIDE, NARROW)
    assert sum(int((a == 0).sum()) for a in both) == round(float(fraction) * total)
    for array in (WIDE, NARROW):
        (alone,) = pruned(f"prune:{criterion}:{fraction}:local", array)
        assert int((alone == 0).sum()) == round(float(fraction) * array.size)


def test_halves_are_rounded_to_even():
    stage = get_stage("prune:magnitude:0.5")
    assert [stage.pruned_count(n) for n in (0, 1, 2, 3, 5, 7)] == [0, 0, 1, 2, 2, 4]


@pytest.mark.parametrize("criterion", ["magnitude", "random"])
def test_what_was_zero_counts_and_more_zeros_stay(criterion):
    array = WIDE * (np.arange(WIDE.size).reshape(WIDE.shape) % 2).astype(np.float32)
    (same,) = pruned(f"prune:{criterion}:0.5", array)
    assert np.array_equal(same, array)
    (more,) = pruned(f"prune:{criterion}:0.6", array)
    assert int((more == 0).sum()) == 360
    assert not more[array == 0].any()


def test_the_smallest_go_and_the_rest_stays_as_it_was():
    kept_wide, kept_narrow = pruned("prune:magnitude:0.4:global", WIDE, NARROW)
    dropped = np.concatenate([WIDE[kept_wide == 0], NARROW[kept_narrow == 0]])
    kept = np.concatenate([WIDE[kept_wide != 0], NARROW[kept_narrow != 0]])
    assert np.abs(dropped).max() <= np.abs(kept).min()
    assert np.array_equal(kept_wide[kept_wide != 0], WIDE[kept_wide != 0])
    assert not kept_narrow.any()  # globally, a layer of small weights goes first
    _, narrow = pruned("prune:magnitude:0.4:local", WIDE, NARROW)
    assert int((narrow == 0).sum()) == round(0.4 * NARROW.size)


def test_of_equal_weights_the_last_go():
    (left,) = pruned("prune:magnitude:0.5", np.full((2, 3), -2.0, np.float32))
    assert left.tolist() == [[-2, -2, -2], [0, 0, 0]]


def test_biases_and_other_types_are_left_alone():
    arrays = {"w": WIDE, "bias": NARROW[0, 0], "steps": np.array([0, 3])}
    decoded = decode_payload(encode_payload(arrays, codec="prune:magnitude:0.9+sparse"))
    assert np.array_equal(decoded["bias"], arrays["bias"])
    assert np.array_equal(decoded["steps"], arrays["steps"])
    assert np.count_nonzero(decoded["w"]) == 60


def test_the_control_depends_on_the_content_alone():
    one, again = pruned("prune:random:0.5", WIDE)[0], pruned("prune:random:0.5", WIDE)[0]
    assert np.array_equal(one, again)
    other = WIDE.copy()
    other[0, 0] += 1
    moved = pruned("prune:random:0.5", other)[0]
    assert 0.3 < np.mean((moved == 0) == (one == 0)) < 0.7
    # Neither place nor magnitude decides.
    assert 0.4 < np.mean(one.reshape(-1)[:300] == 0) < 0.6
    assert 0.4 < np.mean(one[np.abs(WIDE) > np.median(np.abs(WIDE))] == 0) < 0.6
    whole = (np.arange(1, 65, dtype=np.float32)).reshape(8, 8)
    mask = np.packbits(pruned("prune:random:0.5", whole)[0] != 0)
    assert hashlib.sha256(mask.tobytes()).hexdigest()[:8] == "f5781431"


def test_nan_is_kept_and_not_pruned():
    array = WIDE.copy()
    array[3, 3] = np.nan
    (left,) = pruned("prune:magnitude:0.99", array)
    assert np.isnan(left[3, 3])


def test_it_goes_before_stages_that_code_and_before_their_short_forms():
    long = encode_payload({"w": WIDE}, codec="prune:magnitude:0.8+quantize:int8+sparse")
    assert encode_payload({"w": WIDE}, codec="prune:magnitude:.80:global+sparse:int8") == long
    assert (
        get_codec("prune:random:.5+sparse:fp16").spec == "prune:random:0.5:global+cast:fp16+sparse"
    )
    by_hand = np.where(np.abs(WIDE) >= np.sort(np.abs(WIDE), axis=None)[480], WIDE, 0)
    plain = encode_payload({"w": by_hand}, codec="sparse:int8")
    assert np.array_equal(decode_payload(long)["w"], decode_payload(plain)["w"])
    # Two bytes name the stage: its number and, for 0.8, three of settings.
    assert len(long) == len(plain) + 4
