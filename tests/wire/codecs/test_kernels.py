"""Each of numba's loops gives what numpy gives, to the last bit."""

import numpy as np
import pytest

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs import compiled
from flwr_gan.wire.codecs.arrays import extremes
from flwr_gan.wire.codecs.scaling import dequantised, quantised
from flwr_gan.wire.codecs.sparse import bins, planes
from flwr_gan.wire.codecs.sparse.magnitudes import read_magnitudes, write_magnitudes
from flwr_gan.wire.codecs.sparse.streams import byte_counts, every, write_stream
from flwr_gan.wire.codecs.sparse.support import Block, Support, picked, taken_apart
from flwr_gan.wire.codecs.varint import ByteReader

pytest.importorskip("numba", reason="numba is not installed")
COUNTS = [1, 2, 7, 8, 9, 70_001]


@pytest.fixture(autouse=True)
def _numba():
    assert compiled.load()


def both(function, *arguments, **options):
    """Return what numba's loops give, which must be what numpy gives."""
    with np.errstate(all="ignore"):  # as in decoding, where numbers may be any
        found = function(*arguments, **options)
        with compiled.without_numba():
            expected = function(*arguments, **options)
    assert found.dtype == expected.dtype
    assert found.tobytes() == expected.tobytes()
    return found


def special_floats(count, seed=0):
    """Return float32 of any bits: NaN, infinities, subnormal numbers and -0.0 among them."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 1 << 32, count, np.uint32)
    chosen = rng.random(count) < 0.2
    special = np.array([0, 1 << 31, 0x7F800000, 0xFF800000, 0x7FC00001, 1, 0x7F7FFFFF], np.uint32)
    return np.where(chosen, rng.choice(special, count), bits).view(np.float32)


@pytest.mark.parametrize("count", COUNTS)
def test_bytes_are_counted(count):
    data = np.random.default_rng(count).integers(0, 256, count, np.uint8)
    assert both(byte_counts, data).sum() == count
    assert np.array_equal(byte_counts(data), np.bincount(data, minlength=256))


@pytest.mark.parametrize("chosen", ["any", "finite", "negative", "positive", "zeros", "-NaN"])
def test_extremes(chosen):
    values = special_floats(70_001)
    if chosen != "any":
        values = np.nan_to_num(values)
    if chosen in ("negative", "positive"):
        values = np.copysign(values, np.float32(-1 if chosen == "negative" else 1))
    if chosen == "zeros":
        values = np.copysign(np.float32(0), values)
    if chosen == "-NaN":
        values[5] = np.array(0xFFC00000, np.uint32).view(np.float32)
    found = both(lambda: np.array(extremes(values)))
    wanted = np.append(values, np.float32(0))
    assert np.array_equal(found, [wanted.min(), wanted.max()], equal_nan=True)


@pytest.mark.parametrize("count", COUNTS)
def test_bytes_of_floats_and_of_words(count):
    bits = special_floats(count).view(np.uint32)
    for byte in range(4):
        both(bins._plane, bits, byte)
    words = bits.astype(np.uint16)

    def plane(byte, turned):
        found = np.empty(count, np.uint8)
        planes._plane_to(words, byte, turned, found)
        return found

    def joined(low, high, turned):
        coded = planes.Pieces(write_stream([part]) for part in (low, high))
        block = np.empty((count, 2), np.uint8)
        planes._read_block(ByteReader(coded, what="words"), block, turned)
        return block.reshape(-1).view("<u2")

    for turned in (0, 1):
        low, high = both(plane, 0, turned), both(plane, 1, turned)
        assert np.array_equal(both(joined, low, high, turned), words)


def test_many_floats_come_back():
    values = special_floats(70_001)
    coded = both(lambda: np.frombuffer(bytes(bins.write_bins([values])), np.uint8))
    reader = ByteReader(coded.tobytes(), what="floats")

    def read(reader):
        found = np.empty_like(values)
        bins.read_bins(reader, len(values), values.dtype).join(found)
        return found

    found = both(lambda: read(ByteReader(coded.tobytes(), what="floats")))
    assert found.tobytes() == values.tobytes()
    read(reader)
    reader.finish()


def test_many_floats_of_several_arrays_come_back():
    values = special_floats(70_001)
    parts = np.split(values.view(np.uint32), [9, 30_000])
    coded = both(lambda: np.frombuffer(bytes(bins._write_floats(parts)), np.uint8))
    assert len(coded) > values.nbytes * 0.75
    found = np.empty_like(values)
    reader = ByteReader(coded.tobytes(), what="floats")
    bins.read_bins(reader, len(values), values.dtype).join(found)
    reader.finish()
    assert found.tobytes() == values.tobytes()
    for step in (1, 4, 7):
        assert np.array_equal(every(parts, step), values.view(np.uint32)[::step])


@pytest.mark.parametrize("count", COUNTS)
def test_magnitudes(count):
    rng = np.random.default_rng(count)
    numbers = (rng.integers(0, 1 << 32, count, np.uint32) >> rng.integers(0, 32, count)).astype(
        "u4"
    )
    numbers[0] = (1 << 32) - 1
    coded = both(lambda: np.frombuffer(bytes(write_magnitudes([numbers])), np.uint8)).tobytes()

    def read():
        return read_magnitudes(ByteReader(coded, what="numbers"), count, np.dtype("<u4"))

    assert np.array_equal(both(read), numbers)
    with pytest.raises(PayloadError):
        read_magnitudes(ByteReader(coded[:-1], what="numbers"), count, np.dtype("<u4"))


@pytest.mark.parametrize("count", [*COUNTS, 64, 65])
@pytest.mark.parametrize("share", [0, 0.02, 0.5, 1])
def test_survivors_are_picked_and_put_back(count, share):
    rng = np.random.default_rng(count)
    layer = np.where(rng.random(count) < share, special_floats(count, 1), np.float32(0))
    for strict in (False, True):
        values = both(lambda strict=strict: taken_apart(layer, strict=strict)[1])
        support = taken_apart(layer, strict=strict)[0]
        assert support.count == len(values)
        if support.bits is None:
            continue
        both(picked, support.bits, layer, support.count)
        block = Block.of_support(0, support)
        assert block.count == support.count

        def put(block=block, values=values):
            target = np.zeros(count, np.float32)
            block.put(target, values)
            return target

        wanted = layer if strict else np.where(layer == 0, np.float32(0), layer)
        assert both(put).tobytes() == wanted.tobytes()


def test_a_support_is_a_mask():
    mask = np.random.default_rng(0).random(77) < 0.3
    for one in (Support.of(mask), Support.at(77, np.flatnonzero(mask))):
        assert np.array_equal(one.mask, mask)
        assert np.array_equal(one.positions, np.flatnonzero(mask))
        assert np.array_equal(one.packed, np.packbits(mask, bitorder="little"))
    everything = Support.of(np.ones(9, bool))
    assert everything.bits is None
    assert everything.mask.all()
    assert np.array_equal(everything.positions, np.arange(9))
    assert np.array_equal(Support.of(np.zeros(0, bool)).positions, np.zeros(0, int))


@pytest.mark.parametrize("first", [0, 511, 512, 700])
@pytest.mark.parametrize("count", [1, 512, 2000, 40_000])
def test_multiples_of_scales_of_blocks(count, first):
    rng = np.random.default_rng(count + first)
    block, inside = 512, first % 512
    blocks = -(-(inside + count) // block)
    scales = (rng.random(blocks) * 10.0 ** rng.integers(-44, 38, blocks)).astype(np.float32)
    scales[rng.random(blocks) < 0.2] = 0
    each = np.repeat(scales, block)[inside : inside + count]
    values = (each * rng.integers(-260, 260, count) / 2).clip(-3e38, 3e38).astype(np.float32)
    wide = scales.astype(np.float64)
    codes = both(quantised, values, wide, largest=127, block=block, first=inside)
    assert not codes[each == 0].any()
    assert np.abs(codes.astype(int)).max() <= 127
    for near in (None, special_floats(count)):
        found = both(dequantised, codes, wide, near, block=block, first=inside)
        assert not np.isinf(found).any()
        assert (found != 0).all()
        if near is not None:
            assert np.array_equal(np.isnan(found), np.isnan(near))


@pytest.mark.parametrize("scale", [0.0, 2.0**-149, 0.01, 3e36, 3e38])
def test_multiples_of_one_scale(scale):
    codes = np.arange(-127, 128, dtype=np.int8)
    one = np.array([scale])
    values = (codes * scale).clip(-3.4e38, 3.4e38).astype(np.float32)
    found = both(quantised, values, one, largest=127)
    if 0 < scale < 1e36:
        assert np.array_equal(found, codes)
    for near in (None, special_floats(len(codes))):
        assert (both(dequantised, codes, one, near) != 0).all()


def test_halves_go_to_the_even_code():
    scales = np.ones(1)
    values = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 126.5, 127.5, 1e30, -1e30], np.float32)
    codes = both(quantised, values, scales, largest=127)
    assert codes.tolist() == [0, 2, 2, 0, -2, 126, 127, 127, -127]
