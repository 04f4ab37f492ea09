"""Every stage on updates keeps the same promises: what travels, what stays, what is left over."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flwr_gan.codecs import compiled, get_codec
from flwr_gan.compress import get_stage
from flwr_gan.compress.registry import stage_by_id
from flwr_gan.compress.update_stage import SelectingStage, changes, kept_count
from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire import decode_payload, encode_payload, encode_to_send

SELECTING = ["topk:0.1", "topk:0.1:local", "topk:0.9999"]
SPECS = [*SELECTING]


@st.composite
def updates(draw):
    """Return what a receiver holds and what it should have: pruned weights, and others back."""
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    shapes = draw(st.lists(st.sampled_from([(8, 8), (30, 5), (4, 3, 6)]), min_size=1, max_size=3))
    share = draw(st.sampled_from([0.0, 0.5, 0.95]))
    step = draw(st.sampled_from([1e-6, 0.1, 10.0]))
    held, wanted = {}, {}
    for at, shape in enumerate(shapes):
        held[f"w{at}"] = masked(rng.normal(size=shape), share, rng)
        moved = np.where(held[f"w{at}"] != 0, held[f"w{at}"] + step * rng.normal(size=shape), 0)
        back = rng.random(shape) < 0.05
        wanted[f"w{at}"] = masked(np.where(back, 0.7, moved), 0.05, rng)
    return held, wanted


def masked(array, share, rng):
    return np.where(rng.random(array.shape) < share, 0, array).astype(np.float32)


def joined(arrays):
    return np.concatenate([array.reshape(-1) for array in arrays.values()])


def candidates(held, wanted):
    return (joined(held) != 0) & (joined(wanted) != 0)


def sent(wanted, held, spec, **options):
    result = encode_to_send(wanted, codec=spec, base=held, **options)
    decoded = decode_payload(result.payload, base=held)
    for name, array in decoded.items():
        assert np.array_equal(array, result.decoded[name])
    return result, decoded


@pytest.mark.parametrize("spec", SELECTING)
@settings(max_examples=30, deadline=None)
@given(pair=updates())
def test_some_changes_travel_whole_and_the_others_not(spec, pair):
    held, wanted = pair
    result, decoded = sent(wanted, held, spec)
    got, old, new = joined(decoded), joined(held), joined(wanted)
    assert ((got == old) | (got == new)).all()
    may = candidates(held, wanted)
    assert np.array_equal(got[~may], new[~may])
    wanted_change = (new - old)[may].astype(np.float64)
    left = (new - got)[may].astype(np.float64)
    stage = get_stage(spec)
    assert isinstance(stage, SelectingStage)
    share = stage.fraction_steps / 10_000
    assert left @ left <= (1 - share) * (wanted_change @ wanted_change) * (1 + 1e-6) + 1e-30
    for name, array in result.residual.items():
        stays = (held[name] != 0) & (wanted[name] != 0)
        assert np.array_equal(array, np.where(stays, wanted[name] - decoded[name], 0))


@pytest.mark.parametrize("spec", SPECS)
def test_a_receiver_that_holds_nothing_is_sent_everything(spec):
    wanted = {"w": np.random.default_rng(0).normal(size=(20, 10)).astype(np.float32)}
    assert np.array_equal(decode_payload(encode_payload(wanted, codec=spec))["w"], wanted["w"])


@pytest.mark.parametrize("spec", SPECS)
def test_what_is_left_over_arrives_in_later_rounds(spec):
    rng = np.random.default_rng(1)
    held = {"w": rng.normal(size=(20, 10)).astype(np.float32)}
    wanted = {"w": held["w"] + np.float32(0.1) * rng.normal(size=(20, 10)).astype(np.float32)}
    residual = None
    for _ in range(60):
        result, held = sent(wanted, held, spec, residual=residual)
        residual = {}  # what is wanted stays the same: the difference to it is what is left over
    assert np.allclose(held["w"], wanted["w"], atol=1e-6)
    assert result.arrived_share >= 0 or np.isnan(result.arrived_share)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("behind", ["", "+int4", "+binary:network", "+zstd", "+int8+zlib"])
def test_numpy_alone_writes_the_same_bytes(spec, behind):
    rng = np.random.default_rng(2)
    held = {"w": rng.normal(size=(200, 100)).astype(np.float32)}
    wanted = {"w": held["w"] + np.float32(0.1) * rng.normal(size=(200, 100)).astype(np.float32)}
    payload = encode_payload(wanted, codec=spec + behind, base=held)
    with compiled.without_numba():
        assert encode_payload(wanted, codec=spec + behind, base=held) == payload
        alone = decode_payload(payload, base=held)["w"]
    assert np.array_equal(decode_payload(payload, base=held)["w"], alone)


@pytest.mark.parametrize("spec", SPECS)
def test_settings_travel_as_a_number(spec):
    stage = get_stage(spec)
    again = stage_by_id(stage.wire_id, stage.parameter)
    assert again.spec == stage.spec == spec
    assert get_codec(f"{spec}+int4").spec == f"{spec}+quantize:int4:layer+sparse"


@pytest.mark.parametrize("name", ["topk"])
def test_bad_settings_are_explained(name):
    for words in ("", ":0", ":1", ":0.00001", ":0.1:layer", ":0.1:local:3"):
        with pytest.raises(CodecError, match=r"allowed: ") as caught:
            get_codec(f"{name}{words}+int4")
        assert "\n" not in str(caught.value)
    wire_id = get_stage(f"{name}:0.1").wire_id
    for parameter in (0, 1, 20_000, (1 << 32) - 1):
        with pytest.raises(PayloadError, match="does not know"):
            stage_by_id(wire_id, parameter)


def test_as_many_travel_as_the_fraction_says():
    assert [kept_count(100, n) for n in (0, 1, 49, 50, 149, 150, 10_000)] == [0, 1, 1, 1, 1, 2, 100]
    rng = np.random.default_rng(3)
    held = {"w": rng.normal(size=(100, 100)).astype(np.float32)}
    wanted = {"w": held["w"] + rng.normal(size=(100, 100)).astype(np.float32)}
    _, decoded = sent(wanted, held, "topk:0.01")
    assert np.count_nonzero(decoded["w"] != held["w"]) == 100


def test_error_feedback_keeps_the_smaller_change_for_later():
    """(3, 1) twice, one weight of two each time: left over is (0, 1), then (0, 2)."""
    stage = get_stage("topk:0.5")
    near = np.full(2, 10, np.float32)
    left = np.zeros(2, np.float32)
    for expected in ([0, 1], [0, 2]):
        wanted = near + np.array([3, 1], np.float32) + left
        _, ((part,),) = stage.apply([wanted], [near])
        left = wanted - part
        near = part
        assert left.tolist() == expected
        near = np.full(2, 10, np.float32)


def test_changes_that_are_not_finite_are_refused():
    near = np.ones(4, np.float32)
    with pytest.raises(CodecError, match="NaN or infinite"):
        changes(np.array([1, np.nan, 1, 1], np.float32), near)
