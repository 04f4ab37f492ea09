"""Blocks of few distinct keys: the palette byte by byte, when it pays, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs import get_codec
from flwr_gan.wire.codecs.sparse.bins import PALETTE, distinct_keys, read_bins, write_bins
from flwr_gan.wire.codecs.sparse.values import BINS, ValueReader, write_values
from flwr_gan.wire.codecs.varint import ByteReader


def written(keys):
    return bytes(write_bins([keys]))


def read_back(coded, count, dtype):
    reader = ByteReader(coded, what="keys")
    keys = read_bins(reader, count, np.dtype(dtype))
    reader.finish()
    return keys


def test_three_values_byte_by_byte():
    keys = np.array([7, 300, 9, 7] * 8, np.uint32)
    # A palette of 3 from 7 on: 1 and 290 keys between them; then the places.
    coded = written(keys)
    assert coded[:3] == bytes([PALETTE, 2, 7])
    # Between 7 and 9 lies one key, between 9 and 300 lie 290: (8 + 1) * 2**5 + 2.
    assert coded[3:7] == bytes([2 << 2, 1, 49, 2])
    assert len(coded) <= 25
    assert np.array_equal(read_back(coded, 32, np.uint32), keys)


def test_one_value_takes_next_to_nothing():
    for dtype in (np.uint32, np.uint16):
        keys = np.full(70_000, 50_000, dtype)
        coded = written(keys)
        assert len(coded) < 8
        assert np.array_equal(read_back(coded, 70_000, dtype), keys)


@pytest.mark.parametrize("count", [2, 3, 16, 17, 255, 256, 257, 1000, 5000])
@pytest.mark.parametrize("dtype", [np.uint32, np.uint16])
def test_round_trip(count, dtype):
    rng = np.random.default_rng(count)
    highest = np.iinfo(dtype).max
    palette = np.unique(np.append(rng.integers(0, highest, count), [0, highest])).astype(dtype)
    keys = rng.choice(palette, 150_000)
    parts = [keys[:1000], keys[1000:]]
    coded = write_values(parts, BINS)
    reader = ByteReader(coded, what="keys")
    source = ValueReader(reader, coding=BINS, dtype=np.dtype(dtype), total=len(keys))
    assert np.array_equal(source.read(len(keys)), keys)
    source.finish()
    reader.finish()


@given(
    st.lists(st.sampled_from([0, 1, 2, 1 << 20, (1 << 32) - 1]), min_size=1, max_size=80),
)
@settings(max_examples=100, deadline=None)
def test_short_blocks_come_back(numbers):
    keys = np.array(numbers, np.uint32)
    assert np.array_equal(read_back(written(keys), len(keys), np.uint32), keys)


def test_many_distinct_keys_are_left_to_bins():
    rng = np.random.default_rng(0)
    keys = rng.normal(size=100_000).astype(np.float32).view(np.uint32)
    assert distinct_keys([keys]) is None
    assert written(keys)[0] != PALETTE


def levels(rng, count):
    return (np.clip(np.rint(rng.normal(size=count) * 36), -127, 127) / 127).astype(np.float32)


def test_weights_on_a_grid():
    rng = np.random.default_rng(0)
    grid = levels(rng, 200_000)
    three = rng.choice(np.array([-0.03, 0, 0.03], np.float32), 200_000)
    for spec in ("sparse", "auto"):
        assert grid.nbytes / len(get_codec(spec).encode(grid)) >= 4.13
        assert three.nbytes / len(get_codec(spec).encode(three)) >= 18


def test_a_grid_of_each_channel():
    rng = np.random.default_rng(1)
    channels = levels(rng, (20, 5000)) * rng.uniform(0.5, 2, (20, 1)).astype(np.float32)
    blob = get_codec("sparse").encode(channels)
    # Bins alone have all 24 bits of every mantissa to send: 1.2.
    assert channels.nbytes / len(blob) > 2.4
    assert np.array_equal(get_codec("sparse").decode(blob, shape=(20, 5000), dtype="f4"), channels)


@pytest.mark.parametrize("spec", ["sparse", "sparse:pcodec"])
def test_no_codec_of_weights_loses_to_plain_pcodec_on_a_grid(spec):
    pytest.importorskip("pcodec", reason="pcodec is not installed")
    rng = np.random.default_rng(2)
    few = [levels(rng, 200_000), rng.choice(np.array([-0.03, 0, 0.03], np.float32), 200_000)]
    for array in few:
        plain = len(get_codec("pcodec").encode(array))
        # Blocks of 131,072 values have a table each, and a mask is apart from the values.
        assert len(get_codec(spec).encode(array)) <= 1.01 * plain


def test_pcodec_finds_the_grid_of_each_channel():
    pytest.importorskip("pcodec", reason="pcodec is not installed")
    rng = np.random.default_rng(3)
    channels = levels(rng, (128, 768)) * rng.uniform(0.5, 2, (128, 1)).astype(np.float32)
    plain = len(get_codec("pcodec").encode(channels))
    assert len(get_codec("sparse:pcodec").encode(channels)) <= 1.01 * plain


def test_damaged_palettes_are_refused():
    rng = np.random.default_rng(4)
    blocks = [
        rng.choice(np.array([3, 500, 70_000], np.uint32), 300),
        rng.choice(rng.integers(0, 1 << 32, 300).astype(np.uint32), 3000),
    ]
    refused = 0
    for keys in blocks:
        coded = written(keys)
        assert coded[0] == PALETTE
        for end in range(0, len(coded), 1 + len(coded) // 60):
            with pytest.raises(PayloadError):
                read_back(coded[:end], len(keys), np.uint32)
        for _ in range(300):
            damaged = bytearray(coded)
            damaged[rng.integers(len(coded))] ^= 1 << rng.integers(8)
            try:
                found = read_back(bytes(damaged), len(keys), np.uint32)
            except PayloadError:
                refused += 1
            else:
                assert found.shape == keys.shape
    assert refused > 100


@pytest.mark.parametrize(
    ("coded", "said"),
    [
        ([PALETTE, 4, 0], "at most 3"),
        ([PALETTE, 0, 0, 0], "too many"),
        ([PALETTE, 1, 255, 255, 255, 255, 15, 1 << 2 | 1, 1], "too large"),
        ([PALETTE, 2, 7, 1 << 2 | 1, 250], "symbol that is too large"),
        ([PALETTE, 2, 7, 2 << 2, 1, 1, 1 << 2 | 1, 3], "place that their palette does not have"),
        ([PALETTE, 2, 7, 2 << 2, 1, 1, 3 << 2, 0, 1, 2], "3 bytes in the place of 4"),
        ([PALETTE, 2, 7, 2 << 2, 1, 1], "truncated"),
    ],
)
def test_what_is_wrong_is_said(coded, said):
    with pytest.raises(PayloadError, match=said):
        read_back(bytes(coded), 4, np.uint32)


def test_places_of_a_large_palette_are_checked():
    keys = np.random.default_rng(5).choice(np.arange(0, 6000, 20, dtype=np.uint32), 2000)
    coded = bytearray(written(keys))
    assert coded[0] == PALETTE
    refused = 0
    for at in range(len(coded)):
        damaged = bytearray(coded)
        damaged[at] = 0xFE
        try:
            read_back(bytes(damaged), 2000, np.uint32)
        except PayloadError as error:
            refused += "palette does not have" in str(error)
    assert refused
