"""Every stage on updates keeps the same promises: what travels, what stays, what is left over."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire import decode_payload, encode_payload, encode_to_send
from flwr_gan.wire.codecs import compiled, get_codec
from flwr_gan.wire.codecs.scaling import SMALLEST
from flwr_gan.wire.stages import eden, get_stage
from flwr_gan.wire.stages.array_stage import SelectingStage, kept_count
from flwr_gan.wire.stages.registry import stage_by_id

SELECTING = ["topk:0.1", "topk:0.1:local", "topk:0.9999", "dgc:0.1:0.9"]
CHANGING = ["randk:0.1", "powersgd:2", *(f"eden:{bits}" for bits in range(1, 5))]
UNBIASED = ["randk:0.1:unbiased", *(f"eden:{bits}:unbiased" for bits in range(1, 5))]
BIASED = [*SELECTING, *CHANGING]
SPECS = [*BIASED, *UNBIASED]
VALUE_CODES = [
    "binary", "binary:network", "ternary", "int2", "int8", "quantize:affine2", "quantize:em1",
    "codebook:2", "codebook:16", "flexpoint", "bf16", "ternary+zlib",
]  # fmt: skip


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
    # In an array without negative values a weight that was negative does not stay so.
    turned = (old < 0) & (new > 0) & (got == np.float32(SMALLEST))
    assert ((got == old) | (got == new) | turned).all()
    may = candidates(held, wanted)
    assert np.array_equal(got[~may], new[~may])
    wanted_change = (new - old)[may].astype(np.float64)
    left = (new - got)[may].astype(np.float64)
    stage = get_stage(spec)
    assert isinstance(stage, SelectingStage)
    counts = [np.count_nonzero(candidates({"w": held[n]}, {"w": wanted[n]})) for n in held]
    counts = counts if getattr(stage, "scope", "global") == "local" else [sum(counts)]
    share = min((kept_count(stage.fraction_steps, n) / n for n in counts if n), default=1)
    assert left @ left <= (1 - share) * (wanted_change @ wanted_change) * (1 + 1e-6) + 1e-30
    for name, array in result.residual.items():
        stays = (held[name] != 0) & (wanted[name] != 0)
        assert np.array_equal(array, np.where(stays, wanted[name] - decoded[name], 0))


@pytest.mark.parametrize("spec", SPECS)
def test_a_receiver_that_holds_nothing_is_sent_everything(spec):
    wanted = {"w": np.random.default_rng(0).normal(size=(20, 10)).astype(np.float32)}
    assert np.array_equal(decode_payload(encode_payload(wanted, codec=spec))["w"], wanted["w"])


def moved(shape, seed, share=0.0):
    """Return what a receiver holds, and what it should have under the same mask."""
    rng = np.random.default_rng(seed)
    held = masked(rng.normal(size=shape), share, rng)
    step = np.float32(0.1) * rng.standard_t(3, shape).astype(np.float32)
    return {"w": held}, {"w": np.where(held != 0, held + step, 0).astype(np.float32)}


@pytest.mark.parametrize("spec", BIASED)
@pytest.mark.parametrize("share", [0.0, 0.9])
@pytest.mark.parametrize("behind", ["", "+int8"])
def test_no_more_is_left_over_than_there_was_and_it_arrives_later(spec, share, behind):
    held, wanted = moved((40, 30), 1, share)
    left = [np.linalg.norm(wanted["w"] - held["w"])]
    for _ in range(60):
        held = decode_payload(encode_payload(wanted, codec=spec + behind, base=held), base=held)
        assert np.array_equal(held["w"] != 0, wanted["w"] != 0)
        left.append(np.linalg.norm(wanted["w"] - held["w"]))
        assert left[-1] <= left[-2] * (1 + 1e-6)
    # A matrix of noise has no rank, so that of it two rows and columns a time take long.
    assert left[-1] < (0.06 if not spec.startswith("powersgd") else 0.9) * left[0]


@pytest.mark.parametrize("spec", [*CHANGING, *UNBIASED, *SELECTING])
def test_arrays_of_any_shape_are_coded(spec):
    held = {
        "n": np.array(2.5, np.float32),
        "e": np.empty((0, 3), np.float32),
        "v": np.ones(3, "f4"),
    }
    wanted = {name: array * np.float32(1.5) for name, array in held.items()}
    payload = encode_payload(wanted, codec=spec, base=held, lossy="all")
    found = decode_payload(payload, base=held)
    assert [array.shape for array in found.values()] == [(), (0, 3), (3,)]


@pytest.mark.parametrize("spec", [*CHANGING, *UNBIASED])
def test_arrays_whose_mask_changed_travel_whole(spec):
    held, wanted = moved((20, 10), 3)
    wanted["w"][3] = 0
    assert np.array_equal(sent(wanted, held, spec)[1]["w"], wanted["w"])


@pytest.mark.parametrize("spec", UNBIASED)
def test_the_mean_over_many_draws_is_the_update(spec):
    """Updates that differ in one weight by nearly nothing draw anew; their errors cancel out."""
    near = np.random.default_rng(4).normal(size=256).astype(np.float32)
    change = np.random.default_rng(5).normal(size=256).astype(np.float32)
    stage, total, norm = get_stage(spec), np.zeros(256), 0.0
    runs = 1000
    for at in range(runs):
        own, base = change.copy(), near.copy()
        own[0] += np.float32(1e-6 * at)
        base[0] += np.float32(1e-6 * at)
        known, part = stage.coded(own, base)
        found = stage.decoded(known, part, base)
        if spec.startswith("eden"):
            assert found @ own == pytest.approx(own @ own, rel=1e-4)
        total += found
        norm += float(np.sum((found - own) ** 2))
    # What is left of independent errors shrinks with the square root of their number.
    expected = np.sqrt(norm / runs / runs)
    assert np.linalg.norm(total / runs - change) < 2 * expected + 0.02 * np.linalg.norm(change)


@pytest.mark.parametrize(("bits", "lost"), [(1, 0.3634), (2, 0.1175), (3, 0.03455), (4, 0.0095)])
def test_eden_loses_as_much_as_published(bits, lost):
    change = np.random.default_rng(6).standard_t(3, 1 << 16).astype(np.float32)
    near = np.ones_like(change)
    for unbiased, share in ((False, lost), (True, lost / (1 - lost))):
        stage = get_stage(f"eden:{bits}" + ":unbiased" * unbiased)
        found = stage.decoded(*stage.coded(change, near), near)
        assert np.sum((found - change) ** 2) / np.sum(change**2) == pytest.approx(share, rel=0.05)


def test_eden_without_a_turn_has_the_published_values():
    """DRIVE and EDEN of (3, 1, 0, 0), with the unbiased scale."""
    x = np.array([3, 1, 0, 0], np.float32)
    turned = eden._turned(x)
    for bits, expected in ((1, [10 / 3, 0, 0, 0]), (2, [2.82587, 1.52239, 0, 0])):
        scale, level = get_stage(f"eden:{bits}:unbiased").levels_of(turned)
        assert np.allclose(eden._turned(level) * scale, expected, atol=2e-5)


def test_factors_of_an_update_of_low_rank_are_the_update():
    rng = np.random.default_rng(9)
    change = (rng.normal(size=(30, 3)) @ rng.normal(size=(3, 5 * 8))).reshape(30, 5, 8)
    change, near = change.astype(np.float32), np.ones((30, 5, 8), np.float32)
    stage = get_stage("powersgd:3")
    found = stage.decoded(*stage.coded(change, near), near)
    assert np.allclose(found, change, atol=1e-4)
    assert len(stage.coded(change, near)[1]) == 3 * (30 + 40)


def test_power_iteration_goes_on_where_the_update_before_ended():
    rng = np.random.default_rng(10)
    sizes = 0.8 ** np.arange(30)
    change = (rng.normal(size=(30, 30)) * sizes) @ rng.normal(size=(30, 30))
    change, near = change.astype(np.float32), np.ones((30, 30), np.float32)
    best = np.sqrt(np.sum(np.linalg.svd(change)[1][2:] ** 2))
    memory, errors = {}, []
    for _ in range(12):
        stage = get_stage("powersgd:2")
        stage.memory = memory
        found = stage.decoded(*stage.coded(change, near), near)
        errors.append(float(np.linalg.norm(found - change)))
        memory = stage.remembered
    assert errors[0] > errors[-1]
    assert errors[-1] == pytest.approx(best, rel=0.02)


@pytest.mark.parametrize("shape", [(60, 40), (16, 600), (600, 16)], ids=str)
def test_factors_that_are_coded_with_one_scale_lose_little(shape):
    """Were both factors to have equal norms, a long matrix would keep about half."""
    rng = np.random.default_rng(11)
    axes = [np.linalg.qr(rng.normal(size=(length, 16)))[0] for length in shape]
    held = np.ones(shape, np.float32)
    moved = held + (axes[0] / np.arange(1, 17) @ axes[1].T).astype(np.float32)
    shares = []
    for behind in ("", "+int4"):
        memory = {}
        for _ in range(4):  # power iteration
            sent = encode_to_send(
                {"w": moved}, codec=f"powersgd:4{behind}", base={"w": held}, memory=memory
            )
            memory = sent.memory
        shares.append(sent.arrived_share)
    assert shares[1] > 0.94 * shares[0]


@pytest.mark.parametrize("spec", ["eden:1", "eden:2:unbiased", "randk:0.1", "powersgd:2"])
def test_no_change_stays_none(spec):
    held, _ = moved((20, 10), 7)
    assert np.array_equal(sent(held, held, spec)[1]["w"], held["w"])


def test_pieces_fill_up_an_array():
    for count in (1, 63, 64, 65, 8191, 8192, 8193, 30_000):
        lengths = eden.piece_lengths(count)
        assert count <= sum(lengths) < count + eden.SHORTEST
        assert all(length & (length - 1) == 0 for length in lengths)


def test_random_changes_are_the_same_for_all_who_hold_the_same():
    """So that the sum of what clients send is what the sum of their updates would send."""
    held, one = moved((50, 40), 8)
    _, other = moved((50, 40), 8)
    other["w"] += np.float32(0.5)
    stage, near = get_stage("randk:0.1"), held["w"].reshape(-1)
    parts = [stage.coded(each["w"].reshape(-1) - near, near)[1] for each in (one, other)]
    both = stage.coded(one["w"].reshape(-1) + other["w"].reshape(-1) - 2 * near, near)[1]
    assert np.allclose(parts[0] + parts[1], both, atol=1e-6)
    assert len(both) == 200


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("behind", ["", "+int4", "+binary:network", "+int8+zlib"])
def test_numpy_alone_writes_the_same_bytes(spec, behind):
    held, wanted = moved((200, 100), 2)
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


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("topk", ":0.1", ["", ":0", ":1", ":0.00001", ":0.1:layer", ":0.1:local:3"]),
        ("dgc", ":0.1", ["", ":0", ":0.1:0.905", ":0.1:1", ":0.1:0.9:1"]),
        ("randk", ":0.1", ["", ":0", ":1", ":0.1:biased", ":0.1:unbiased:1"]),
        ("powersgd", ":4", ["", ":0", ":1025", ":4:1"]),
        ("eden", ":2", ["", ":0", ":5", ":2:drive", ":2:unbiased:1"]),
    ],
)
def test_bad_settings_are_explained(name, good, bad):
    for words in bad:
        with pytest.raises(CodecError, match=r"allowed: ") as caught:
            get_codec(f"{name}{words}+int4")
        assert "\n" not in str(caught.value)
    wire_id = get_stage(f"{name}{good}").wire_id
    for parameter in (0, (1 << 32) - 1):
        with pytest.raises(PayloadError, match="does not know"):
            stage_by_id(wire_id, parameter)


def test_as_many_travel_as_the_fraction_says():
    assert [kept_count(100, n) for n in (0, 1, 49, 50, 149, 150, 10_000)] == [0, 1, 1, 1, 1, 2, 100]
    rng = np.random.default_rng(3)
    held = {"w": rng.normal(size=(100, 100)).astype(np.float32)}
    wanted = {"w": held["w"] + rng.normal(size=(100, 100)).astype(np.float32)}
    _, decoded = sent(wanted, held, "topk:0.01")
    assert np.count_nonzero(decoded["w"] != held["w"]) == 100


def test_of_a_pruned_network_no_larger_share_travels():
    rng = np.random.default_rng(4)
    held = {"w": masked(rng.normal(size=(100, 100)), 0.9, rng)}
    wanted = {"w": np.where(held["w"] != 0, held["w"] + np.float32(0.1), 0)}
    for spec in ("topk:0.1", "topk:0.1:local", "randk:0.1"):
        _, decoded = sent(wanted, held, spec)
        survivors = np.count_nonzero(held["w"])
        assert np.count_nonzero(decoded["w"] != held["w"]) == kept_count(1000, survivors)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("behind", VALUE_CODES)
def test_what_was_not_chosen_stays_whatever_codes_the_changes(behind, share):
    rng = np.random.default_rng(5)
    held = {"w": rng.normal(size=(40, 50)).astype(np.float32)}
    wanted = {"w": held["w"] + rng.normal(0, 0.01, size=(40, 50)).astype(np.float32)}
    result, decoded = sent(wanted, held, f"topk:{share}+{behind}")
    assert np.count_nonzero(decoded["w"] != held["w"]) <= 2000 * share
    assert 0 < result.arrived_share < 1


def test_a_stage_without_a_code_for_no_change_needs_the_sparse_codec():
    with pytest.raises(CodecError, match="has no code for weights that did not change; allowed"):
        get_codec("topk:0.1+binary+zlib")


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


@pytest.mark.parametrize("spec", SPECS)
def test_far_weights_are_coded_and_what_is_not_finite_is_not_lost(spec):
    held, wanted = moved((20, 10), 11)
    held["w"][0], wanted["w"][0] = 3e38, -3e38
    assert np.isfinite(sent(wanted, held, spec)[1]["w"]).all()
    wanted["w"][1, 0] = np.nan
    found = decode_payload(encode_payload(wanted, codec=spec, base=held), base=held)["w"]
    assert np.array_equal(found, wanted["w"], equal_nan=True)
