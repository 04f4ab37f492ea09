"""Tables of frequencies: both sides make the same of them, and they always add up."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs.sparse.tables import (
    BITS,
    PLAIN,
    SCALE,
    counted_table,
    mask_table,
    read_table,
)
from flwr_gan.wire.codecs.varint import ByteReader


def read(coded):
    reader = ByteReader(coded, what="table")
    table = read_table(reader)
    reader.finish()
    return table


def check(table):
    assert len(table.freqs) == 256
    assert min(table.freqs) >= 0
    assert sum(table.freqs) == SCALE
    assert len(table.look) == SCALE
    assert np.array_equal(np.bincount(table.look, minlength=256), table.freqs)
    starts = np.concatenate([[0], np.cumsum(table.freqs)[:-1]])
    assert np.array_equal(table.starts, starts)


@st.composite
def counts_of_symbols(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kinds = draw(st.sampled_from([1, 2, 3, 17, 255, 256]))
    total = draw(st.sampled_from([1, 9, 300, 70_000, 1 << 20]))
    low = rng.integers(257 - kinds)
    share = rng.random(kinds) ** draw(st.sampled_from([0, 1, 20]))
    counts = np.zeros(256, np.int64)
    counts[low : low + kinds] = rng.multinomial(total, share / share.sum())
    return counts


@given(counts_of_symbols(), st.sampled_from([counted_table, mask_table]))
@settings(max_examples=200, deadline=None)
def test_the_reader_makes_the_same_table(counts, make):
    table = make(counts)
    check(table)
    assert np.array_equal(read(table.coded).freqs, table.freqs)
    freqs = np.array(table.freqs)
    assert (freqs[counts > 0] > 0).all()
    if make is counted_table:
        assert not freqs[counts == 0].any()


@given(st.binary(min_size=1, max_size=80))
@settings(max_examples=300, deadline=None)
def test_any_bytes_give_a_table_that_adds_up_or_an_error(data):
    for coded in (data, bytes([data[0] & 15, data[0] & 7, len(data) & 7]) + data):
        try:
            table = read_table(ByteReader(coded, what="table"))
        except PayloadError:
            continue
        check(table)


def test_frequencies_are_near_the_counts():
    counts = np.random.default_rng(0).integers(0, 5000, 256)
    table = counted_table(counts)
    assert table.coded[0] == PLAIN
    exact = counts * (SCALE / counts.sum())
    wrong = np.abs(np.array(table.freqs) - exact)
    # What is left over goes to the most frequent symbol.
    assert np.sort(wrong)[-2] <= 1
    few = counted_table(counts // 50)
    assert len(few.coded) < len(table.coded) / 2
    share = (counts // 50) * (SCALE / (counts // 50).sum())
    big = share > 16
    assert np.median(np.abs(np.array(few.freqs)[big] / share[big] - 1)) < 0.25


def test_a_table_of_bits_has_the_frequencies_of_independent_bits():
    rng = np.random.default_rng(1)
    mask = np.packbits(rng.random(80_000) < 0.2, bitorder="little")
    table = mask_table(np.bincount(mask, minlength=256))
    assert len(table.coded) == 4
    for symbol in (0, 1, 3, 7):
        bits = symbol.bit_count()
        assert table.freqs[symbol] / SCALE == pytest.approx(0.2**bits * 0.8 ** (8 - bits), rel=0.1)


@pytest.mark.parametrize(
    ("coded", "said"),
    [
        ([BITS, 9, 1, 0], "9 of 8 set"),
        ([BITS, 3, 0, 0], "share of 0"),
        ([BITS, 3, 1], "truncated"),
        ([0x50, 0, 0, 1], "does not know"),
        ([0x10, 0, 0, 1], "does not know"),
        ([0, 250, 6], "beyond 255"),
        ([0, 0, 1, 0, 0], "no symbols"),
        ([8, 0, 0, 1, 8], "no symbols"),
        ([0, 0, 9, 1], "truncated"),
        ([0, 0, 1, 9], "at most 8"),
        ([0, 0, 1, 1, 3, 1], "1 steps for 2 symbols"),
        ([8, 0, 1, 1, 7], "3 steps for 2 symbols"),
        ([8, 0, 0, 4, 0, 0, 0, 0x80], "cannot be"),
        ([8, 0, 0, 1, 32], "cannot be"),
        ([15, 0, 0, 1, 2], "truncated"),
        ([PLAIN, 0, 1, 0, 0x40, 1, 0], "do not add up"),
        ([PLAIN, 0, 1, 0, 0x40], "truncated"),
    ],
)
def test_what_is_wrong_is_said(coded, said):
    with pytest.raises(PayloadError, match=said):
        read_table(ByteReader(bytes(coded), what="table"))
