"""Lossless differences: what did not change does not travel, short floats lose their low bits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs import ArraySpec, get_codec
from flwr_gan.wire.codecs.base import Body
from flwr_gan.wire.codecs.pieces import Pieces
from flwr_gan.wire.codecs.sparse.floats import (
    add_differences,
    ordered_differences,
    unused_bits,
)
from flwr_gan.wire.codecs.sparse.numbers import CHANGES, RELATIVE, SHIFTED
from flwr_gan.wire.codecs.sparse.parts import KnownBase
from flwr_gan.wire.codecs.sparse.positions import (
    GAPS,
    STRETCH,
    ChangeReader,
    PositionReader,
    write_changes,
)
from flwr_gan.wire.codecs.sparse.support import Support
from flwr_gan.wire.codecs.sparse.values import MAGNITUDE_BINS, write_values
from flwr_gan.wire.codecs.varint import ByteReader, write_varint

PCODEC_SPECS = ["sparse", "sparse:pcodec"]


def coded(arrays, base, *, spec="sparse", **options):
    if spec.endswith("pcodec"):
        pytest.importorskip("pcodec", reason="pcodec is not installed")
    return get_codec(spec).encode_bundle(arrays, base=base, **options)


def specs_of(arrays):
    return [ArraySpec(array.shape, array.dtype) for array in arrays]


def come_back(body, arrays, base, *, spec="sparse"):
    codec = get_codec(spec)
    decoded = codec.decode_bundle(body, specs_of(arrays), base=base)
    for found, array in zip(decoded, arrays, strict=True):
        assert found.tobytes() == (array + 0).tobytes()
    if codec.survivors_are_all(body, specs_of(arrays)):
        known = KnownBase(base)
        joined = codec.decode_survivors(body, specs_of(arrays), base=known)
        wanted = [array[near != 0] for array, near in zip(arrays, base, strict=True)]
        assert joined.tobytes() == np.concatenate(wanted).tobytes()


def length(body):
    return len(body.mask) + len(body.values)


@pytest.mark.parametrize("spec", PCODEC_SPECS)
@pytest.mark.parametrize(("share", "ratio"), [(0.001, 742), (0.01, 81.5)])
def test_few_changes_take_gaps_and_floats_at_most(spec, share, ratio):
    rng = np.random.default_rng(0)
    held = rng.normal(0, 0.04, 1_000_000).astype(np.float32)
    for drawn in ("anew", "nearby"):
        new = held.copy()
        at = rng.random(len(held)) < share
        moved = rng.normal(0, 0.04 if drawn == "anew" else 1e-4, int(at.sum()))
        new[at] = moved if drawn == "anew" else held[at] + moved
        body = coded([new], [held], spec=spec)
        assert bytes(body.values)[3] & (RELATIVE | CHANGES) == RELATIVE | CHANGES
        assert new.nbytes / length(body) >= ratio
        come_back(body, [new], [held], spec=spec)


@pytest.mark.parametrize("spec", PCODEC_SPECS)
def test_no_change_takes_a_few_bytes(spec):
    rng = np.random.default_rng(1)
    held = [rng.normal(size=shape).astype(np.float32) for shape in ((300, 400), (7,), (), (0, 3))]
    held[0][rng.random((300, 400)) < 0.5] = 0
    body = coded(held, held, spec=spec)
    assert length(body) <= 6
    come_back(body, held, held, spec=spec)


def test_frozen_layers_take_nothing():
    rng = np.random.default_rng(2)
    held = [rng.normal(size=70_000).astype(np.float32) for _ in range(4)]
    new = [*held[:3], held[3] + np.float32(1e-4) * rng.normal(size=70_000).astype(np.float32)]
    alone = coded(new[3:], held[3:])
    body = coded(new, held)
    assert length(body) < 1.02 * length(alone)
    come_back(body, new, held)


def test_beside_masks_that_change():
    rng = np.random.default_rng(3)
    held = rng.normal(size=(64, 500)).astype(np.float32)
    held[rng.random(held.shape) < 0.6] = 0
    new = held.copy()
    new[rng.random(held.shape) < 0.01] = 0
    new[rng.random(held.shape) < 0.01] = 1.25
    body = coded([new], [held])
    assert body.mask[0] == 5
    values = bytes(body.values)
    assert values[2] & CHANGES or values[3] & CHANGES
    come_back(body, [new], [held])


def test_special_floats_are_exact():
    held = np.array([1, np.nan, np.inf, -np.inf, 1e-45, 3e38, -1, 2], np.float32).repeat(50)
    new = held.copy()
    new[::7] = np.array([0x7FC00001], np.uint32).view(np.float32)
    new[::11] = -np.inf
    for use in ("auto", "values"):
        come_back(coded([new], [held], base_use=use), [new], [held])
    come_back(coded([held], [held]), [held], [held])


@pytest.mark.parametrize("bits", [13, 16])
@pytest.mark.parametrize("spec", PCODEC_SPECS)
def test_low_bits_of_short_floats_cost_nothing(bits, spec):
    rng = np.random.default_rng(4)

    def short(values):
        return (values.astype(np.float32).view(np.uint32) >> bits << bits).view(np.float32)

    held = short(rng.normal(size=60_000))
    new = short(held * (1 + 0.01 * rng.normal(size=60_000)))
    body = coded([new], [held], spec=spec, base_use="values")
    values = bytes(body.values)
    assert values[3] & SHIFTED
    assert values[4] == bits
    come_back(body, [new], [held], spec=spec)
    # The upper bits alone, as whole numbers, and entropy-coded: what the difference is worth.
    steps = (new.view(np.uint32) >> bits).astype(np.int64) - (held.view(np.uint32) >> bits)
    _, counts = np.unique(steps, return_counts=True)
    entropy = -np.sum(counts * np.log2(counts / len(steps))) / 8
    assert length(body) < 1.1 * entropy + 200


def test_short_floats_without_a_base_cost_their_own_bits():
    rng = np.random.default_rng(5)
    full = (rng.normal(size=1_000_000) * (rng.random(1_000_000) < 0.1)).astype(np.float32)
    half = full.astype(np.float16).astype(np.float32)
    brain = (full.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    assert len(get_codec("sparse").encode(half)) <= 232_111
    assert len(get_codec("sparse").encode(brain)) <= 195_431


floats = hnp.arrays(
    np.uint32,
    40,
    elements=st.one_of(
        st.sampled_from([0, 0x80000000, 0x3F800000, 0xBF800000, 0x7F800000, 0xFF800000]),
        st.integers(0, 0xFFFFFFFF),
    ),
)


@given(bits=floats, held=floats, shift=st.integers(0, 31))
@settings(max_examples=200, deadline=None)
def test_differences_come_back(bits, held, shift):
    new, near = ((part >> shift << shift).view(np.float32) for part in (bits, held))
    assert (
        unused_bits([new, near]) >= shift or not (new.view(np.uint32) | near.view(np.uint32)).any()
    )
    steps = ordered_differences(new, near, shift=shift)
    assert add_differences(steps, near, shift=shift).tobytes() == new.tobytes()


def test_unused_bits():
    assert unused_bits([]) == 0
    assert unused_bits([np.zeros(3, np.float32)]) == 0
    assert unused_bits([np.array([1.0, -1.0], np.float32)]) == 23
    assert unused_bits([np.array([1.0], np.float32), np.array([1e-45], np.float32)]) == 0
    assert unused_bits([np.array([-0.0], np.float32)]) == 31


@given(st.lists(st.lists(st.booleans(), max_size=60), max_size=4))
@settings(max_examples=60, deadline=None)
def test_changes_come_back(layers):
    changed = [np.array(layer, bool) for layer in layers]
    total = sum(map(len, changed))
    reader = ByteReader(write_changes(list(map(Support.of, changed))), what="changes")
    source = ChangeReader(reader, total=total)
    assert source.count == sum(map(np.count_nonzero, changed))
    for layer in changed:
        assert np.array_equal(source.take(len(layer)), layer)
    source.finish()
    reader.finish()


def test_changes_of_many_stretches():
    rng = np.random.default_rng(6)
    changed = rng.random(3 * STRETCH + 17) < np.linspace(0, 0.4, 3 * STRETCH + 17)
    changed[STRETCH : 2 * STRETCH] = True
    source = ChangeReader(
        ByteReader(write_changes([Support.of(changed)]), what="changes"), total=len(changed)
    )
    at = 0
    while at < len(changed):
        size = min(int(rng.integers(0, 90_000)), len(changed) - at)
        assert np.array_equal(source.take(size), changed[at : at + size])
        at += size
    source.finish()


def test_a_payload_of_changes_needs_a_base():
    held = np.linspace(1, 2, 5000, dtype=np.float32)
    new = held.copy()
    new[17] = 5
    body = coded([new], [held])
    with pytest.raises(PayloadError, match="unknown_base"):
        get_codec("sparse").decode_bundle(Body(bytes([0, 1]), body.values), specs_of([new]))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([4, CHANGES], "no differences"),
        ([4, SHIFTED, 3], "no differences"),
        ([4, RELATIVE | SHIFTED | 2, 0], "0 zero bits"),
        ([4, RELATIVE | SHIFTED | 2, 32], "32 zero bits"),
        ([4, RELATIVE | CHANGES | SHIFTED, 3], "3 zero bits"),
        ([4, RELATIVE], "value coding 0"),
        ([4, RELATIVE | CHANGES | 3], "value coding 3"),
        ([4, RELATIVE | CHANGES | 2, 5], "at most 4"),
        ([4, RELATIVE | CHANGES | 2, 0, 0], "too many"),
        ([4, RELATIVE | CHANGES | 2, 2, 1, 2], "positions of changes is truncated"),
        (
            [4, RELATIVE | CHANGES | 2, 4, 2, 1, 0, 5, 1],
            "positions of changes has 1 bytes too many",
        ),
        # All four changed, but only two are said to have.
        ([4, RELATIVE | CHANGES | 2, 2, 1, 1, 5, 1], "more survivors than there are values"),
        # None changed, but two are said to have.
        ([4, RELATIVE | CHANGES | 2, 2, 1, 0, 5, 1], "more changes than survivors"),
    ],
)
def test_what_is_wrong_is_said(values, said):
    held = np.arange(1, 5, dtype=np.float32)
    with pytest.raises(PayloadError, match=said):
        get_codec("sparse").decode_bundle(Body(b"\1", bytes(values)), specs_of([held]), base=[held])


@pytest.mark.parametrize(
    "spec", [*PCODEC_SPECS, "sparse:int8", "cast:bf16+sparse", "binary+sparse"]
)
def test_damage_is_refused_or_harmless(spec):
    rng = np.random.default_rng(7)
    held = rng.normal(size=(40, 50)).astype(np.float16).astype(np.float32)
    new = held.copy()
    at = rng.random(held.shape) < 0.2
    new[at] = (held[at] * 1.25).astype(np.float16)
    body = coded([new], [held], spec=spec)
    data = bytes(body.values)
    codec, specs = get_codec(spec), specs_of([new])
    damaged = [data[:end] for end in range(0, len(data), 7)]
    for _ in range(300):
        mutated = bytearray(data)
        mutated[rng.integers(len(data))] ^= 1 << rng.integers(8)
        damaged.append(bytes(mutated))
    refused = 0
    for values in damaged:
        hurt = Body(body.mask, values, body.base_need)
        outcomes = []
        for decode in (codec.decode_bundle, codec.decode_survivors):
            try:
                base = KnownBase([held]) if decode == codec.decode_survivors else [held]
                found = decode(hurt, specs, base=base)
            except PayloadError:
                outcomes.append(None)
            else:
                outcomes.append(np.asarray(found).reshape(-1).tobytes())
        assert outcomes[0] == outcomes[1]
        refused += outcomes[0] is None
    assert refused > len(damaged) // 4


def test_positions_beyond_two_billion():
    length = (1 << 32) - 1
    drawn = np.random.default_rng(8).choice(length, 500)
    positions = np.unique(np.append(drawn, [0, 1 << 31, length - 1]))
    # A support of so many places takes half a gigabyte; only what is written of it does not.
    gaps = np.diff(positions, prepend=-1) - 1
    coded = Pieces([bytes([GAPS]), write_varint(len(gaps))])
    coded += write_values([gaps.astype(np.uint32)], MAGNITUDE_BINS)
    reader = ByteReader(coded, what="positions")
    source = PositionReader(reader, [length])
    assert np.array_equal(np.concatenate([b.positions for b in source.blocks(0)]), positions)
    source.finish()
    reader.finish()
