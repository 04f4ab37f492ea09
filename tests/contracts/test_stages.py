"""Every stage that codes weights one by one keeps the same promises."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire.codecs import compiled
from flwr_gan.wire.codecs.places import Places
from flwr_gan.wire.codecs.stage import differences
from flwr_gan.wire.stages import Coded, get_stage, stage_names
from flwr_gan.wire.stages.groups import GRANULARITIES
from flwr_gan.wire.stages.registry import _STAGES, stage_by_id
from tests.contracts.test_array_stages import SPECS as ARRAY_SPECS
from tests.contracts.test_update_stages import SPECS as UPDATE_SPECS

SPECS = [
    *(f"quantize:int{bits}:layer" for bits in range(2, 9)),
    "quantize:int8:channel",
    "quantize:int8:network",
    *(f"quantize:affine{bits}:layer" for bits in range(1, 9)),
    "quantize:affine8:channel",
    "quantize:affine4:network",
    "quantize:em8:layer",
    "quantize:em3:layer",
    "quantize:em2:channel",
    "quantize:em1:network",
    *(f"{name}:{group}" for name in ("ternary", "binary") for group in GRANULARITIES),
    "codebook:2:layer",
    "codebook:16:layer",
    "codebook:256:network",
    "flexpoint",
    "qsgd:4",
    "qsgd:127",
    "qsgd:4:unbiased",
    "cast:fp16",
    "cast:bf16",
    "budget:bytes:400",
    "budget:share:0.2",
]

NOT_FOR_FEEDBACK = {"quantize:affine1:layer", "qsgd:4:unbiased"}
"""The range of two codes, and the variance of unbiased ones, grow with what is fed back."""

weights = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=8),
    elements=st.one_of(st.just(0.0), st.just(-0.0), st.floats(-32000, 32000, width=32)),
)


def test_every_stage_is_tested():
    tested = {spec.split(":")[0] for spec in [*SPECS, *ARRAY_SPECS, *UPDATE_SPECS]}
    assert tested == set(stage_names())


@pytest.mark.parametrize("spec", SPECS)
@settings(max_examples=25, deadline=None)
@given(array=weights)
def test_round_trip_stays_within_the_stated_bound(spec, array):
    stage = get_stage(spec)
    coded, residual = stage.encode(array)
    decoded = stage.decode(coded)
    assert decoded.shape == array.shape
    assert decoded.dtype == np.float32
    assert np.array_equal(decoded != 0, array != 0)
    assert not np.signbit(decoded[decoded == 0]).any()
    positions = coded.places.positions
    survivors = array.reshape(-1)[positions].astype(np.float64)
    error = np.abs(decoded.reshape(-1)[positions] - survivors)
    assert (error <= stage.error_bound(coded)).all()
    assert np.array_equal(residual[array == 0], np.zeros_like(residual[array == 0]))
    assert np.array_equal(residual, np.where(array != 0, array - decoded, 0).astype(np.float32))


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize(
    "array",
    [
        np.full(3, 3.4028235e38, np.float32),
        np.array([1e-45, -1e-45, 3e-45], np.float32),
        np.array([[1e-38, 1.0], [0.0, -1e-30]], np.float32),
        np.array([0.0, -0.0], np.float32),
    ],
    ids=["largest", "smallest", "wide", "zeros"],
)
def test_extremes(spec, array):
    stage = get_stage(spec)
    if array[..., 0].max() > 1e38 and ("cast" in spec or spec == "flexpoint"):
        with pytest.raises(CodecError, match=r"beyond the range|up to 32767"):
            stage.encode(array)
        return
    coded, _ = stage.encode(array)
    decoded = stage.decode(coded)
    assert np.isfinite(decoded).all()
    assert np.array_equal(decoded != 0, array != 0)


@pytest.mark.parametrize("spec", ["cast:fp16", "cast:bf16"])
def test_casts_keep_what_is_not_finite(spec):
    array = np.array([np.nan, np.inf, -np.inf, 1.0], np.float32)
    stage = get_stage(spec)
    assert np.array_equal(stage.decode(stage.encode(array)[0]), array, equal_nan=True)


def test_bf16_rounds_ties_to_even():
    array = np.array([0x3F808000, 0x3F818000, 0x3F808001], np.uint32).view(np.float32)
    stage = get_stage("cast:bf16")
    decoded = stage.decode(stage.encode(array)[0]).view(np.uint32)
    assert decoded.tolist() == [0x3F800000, 0x3F820000, 0x3F810000]


@pytest.mark.parametrize("spec", [spec for spec in SPECS if spec not in NOT_FOR_FEEDBACK])
def test_error_feedback_makes_up_for_the_error(spec):
    rng = np.random.default_rng(0)
    array = rng.normal(size=200).astype(np.float32)
    stage, residual = get_stage(spec), None
    total = np.zeros(200)
    rounds = 64
    for _ in range(rounds):
        coded, residual = stage.encode(array, residual)
        total += stage.decode(coded)
    once = np.linalg.norm(stage.decode(stage.encode(array)[0]) - array)
    assert np.linalg.norm(total / rounds - array) <= 12 * once / rounds + 1e-6


@pytest.mark.parametrize("spec", SPECS)
def test_input_is_left_alone_and_must_be_float32(spec):
    array = np.array([1.0, -0.0, 0.3], np.float32)
    before = array.tobytes()
    get_stage(spec).encode(array)
    assert array.tobytes() == before
    with pytest.raises(CodecError, match="float32"):
        get_stage(spec).encode(array.astype(np.float64))


@pytest.mark.parametrize("spec", SPECS)
def test_settings_come_back_from_the_wire(spec):
    stage = get_stage(spec)
    assert stage_by_id(stage.wire_id, stage.parameter).spec == stage.spec == spec


def test_unknown_numbers_are_payload_errors():
    assert len({number for _, number, _ in _STAGES}) == len(_STAGES)
    for number, parameter in [
        (0, 0),
        (255, 0),
        (1, 1),
        (1, 9),
        (1, 0x98),
        (2, 2),
        (4, 3),
        (5, 3),
        (6, 0),
        (6, 512),
    ]:
        with pytest.raises(PayloadError, match="does not know"):
            stage_by_id(number, parameter)


def test_scales_are_checked():
    stage = get_stage("quantize:int8:layer")
    for bad in (np.nan, np.inf, -1.0):
        with pytest.raises(PayloadError, match="scale"):
            stage.check_side(np.array([bad], np.float32))


@pytest.mark.parametrize("spec", SPECS)
@settings(max_examples=25, deadline=None)
@given(array=weights, seed=st.integers(0, 99))
def test_differences_to_a_base_stay_within_the_stated_bound(spec, array, seed):
    stage = get_stage(spec).for_differences()
    assert stage.for_differences() is stage
    assert stage_by_id(stage.wire_id, stage.parameter).spec == stage.spec == spec
    flat = array.reshape(-1)
    places = Places(np.flatnonzero(flat), array.shape)
    wanted = flat[places.positions]
    near = np.random.default_rng(seed).normal(size=len(wanted)).astype(np.float32)
    change = differences(wanted, near)
    side = stage.measure(change, places)
    stage.check_side(side)
    codes = stage.coded(change, places, side)
    decoded = stage.from_codes(codes, places, side, near)
    assert decoded.dtype == np.float32
    assert decoded.all()
    arrived = stage.decoded(codes, places, side)
    largest = float(np.abs(arrived.astype(np.float64) - change).max(initial=0))
    bound = stage.error_bound(Coded(codes, places, side, largest))
    room = 2.0**-23 * (np.abs(wanted) + np.abs(near) + np.abs(arrived)) + 2.0**-149
    room += 2.0**-24 * stage.scales(places, side)
    assert (np.abs(decoded.astype(np.float64) - wanted) <= bound + room).all()
    for at in range(0, len(codes), 3):
        part = slice(at, at + 3)
        some = Places(places.positions[part], array.shape, at)
        held = side[at // stage.block_length :] if stage.block_length else side
        assert np.array_equal(stage.from_codes(codes[part], some, held, near[part]), decoded[part])


def norms(values):
    return np.array([np.linalg.norm(values), np.abs(values).max(initial=0)])


@pytest.mark.parametrize("spec", SPECS)
@settings(max_examples=25, deadline=None)
@given(array=weights, seed=st.integers(0, 99))
def test_what_a_contractive_stage_leaves_over_is_no_more_than_it_was_given(spec, array, seed):
    rng = np.random.default_rng(seed)
    heavy = rng.standard_t(1, size=(20, 30)).clip(-3e4, 3e4).astype(np.float32)
    for given_ in (array, heavy, heavy * np.float32(1e-9)):
        for stage in (get_stage(spec), get_stage(spec).for_differences()):
            if not stage.contractive:
                continue
            decoded = stage.decode(stage.encode(given_)[0]).astype(np.float64)
            size = norms(given_.astype(np.float64).reshape(-1))
            left = norms((given_ - decoded).reshape(-1))
            # The tiny number in the place of a zero, and rounding of centroids.
            room = 1e-6 * size + 2.0**-149 * np.sqrt(array.size + 1)
            assert (left <= size + room).any()


def test_which_stages_are_not_contractive():
    kept = {spec for spec in SPECS if get_stage(spec).contractive}
    assert set(SPECS) - kept == NOT_FOR_FEEDBACK


@pytest.mark.parametrize("spec", SPECS)
def test_codes_that_no_encoder_writes_are_refused(spec):
    stage = get_stage(spec)
    array = np.linspace(-1, 1, 300, dtype=np.float32)
    coded, _ = stage.encode(array)
    limits = np.iinfo(stage.code_dtype)
    for bad in {limits.min, limits.max} - set(range(stage.lowest, stage.highest + 1)):
        codes = coded.codes.copy()
        codes[-1] = bad
        with pytest.raises(PayloadError, match="out of range"):
            stage.decode(replace(coded, codes=codes))


FINITE = [spec for spec in SPECS if get_stage(spec).decodes_finite]


@pytest.mark.parametrize("spec", FINITE)
@pytest.mark.parametrize("with_numba", [True, False])
def test_finite_stages_decode_any_codes_to_finite_numbers(spec, with_numba):
    compiled.load()
    largest = np.finfo(np.float32).max
    for stage, near in ((get_stage(spec), None), (get_stage(spec).for_differences(), [1, 1, -1])):
        codes = np.array([stage.highest, stage.lowest, stage.lowest], stage.code_dtype)
        places = Places(np.arange(3), (3, 1))
        # A key of a block's scale is the upper half of a float32.
        number = 0x7F60 if stage.block_length else largest
        side = np.full(max(stage.side_count((3, 1)), 1), number, stage.side_dtype)
        stage.check_side(side)
        held = None if near is None else np.array(near, np.float32) * largest
        with nullcontext() if with_numba else compiled.without_numba():
            decoded = stage.from_codes(codes, places, side, held)
        assert np.isfinite(decoded).all()
