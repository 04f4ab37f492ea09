"""Streams: stored, constant and rANS come back; forged ones are refused in little memory."""

import tracemalloc
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs import compiled
from flwr_gan.wire.codecs.sparse import streams
from flwr_gan.wire.codecs.sparse.streams import (
    CONSTANT,
    MOST_TABLES,
    RANS,
    STORED,
    read_stream,
    write_stream,
)
from flwr_gan.wire.codecs.varint import ByteReader, write_varint

RNG = np.random.default_rng(0)


def come_back(sections, **options):
    coded = bytes(write_stream(sections, **options))
    reader = ByteReader(coded, what="streams")
    joined = np.concatenate(sections)
    assert np.array_equal(read_stream(reader, len(joined)), joined)
    reader.finish()
    return coded


def binomial(count, chance=0.1):
    return RNG.binomial(60, chance, count).astype(np.uint8)


def test_each_method_is_taken_where_it_is_shortest():
    escaped = np.where(RNG.random(100_000) < 0.999, binomial(100_000, 0.05), 200).astype(np.uint8)
    for data, method in (
        (RNG.integers(0, 256, 9000, np.uint8), STORED),
        (np.full(9000, 7, np.uint8), CONSTANT),
        (binomial(9000), RANS),
        (escaped, RANS),
    ):
        coded = come_back([data])
        assert coded[0] & 3 == method
        with compiled.without_numba():
            assert come_back([data]) == coded


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=5), st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_sections_come_back(sections, are_masks):
    come_back([np.frombuffer(part, np.uint8) for part in sections], are_masks=are_masks)


def test_sections_that_differ_have_tables_of_their_own():
    low, high = binomial(3000, 0.02), np.uint8(255) - binomial(3000, 0.02)
    apart = len(come_back([low, high]))
    assert apart < 0.8 * len(come_back([np.concatenate([low, high])]))
    many = [binomial(700, 0.02) if at % 2 else 255 - binomial(700, 0.02) for at in range(150)]
    come_back(many)


def test_there_are_at_most_so_many_tables():
    alone = np.full((3, 256), 0)
    alone[[0, 1, 2], [3, 90, 200]] = 4000
    parts = [streams._Part(4000, alone[at % 3], False) for at in range(200)]
    merged = streams._merged(parts)
    assert len(merged) <= MOST_TABLES
    assert sum(part.length for part in merged) == 200 * 4000


def stream(method, data):
    return write_varint(len(data) << 2 | method) + data


ONE = bytes([8, 0, 0, 1, 2])
"""A table: exponents of all symbols, no mantissas; from symbol 0 on, 1 symbol; a step of -1."""


@pytest.mark.parametrize(
    ("coded", "said"),
    [
        (b"", "truncated"),
        (stream(STORED, b"ab"), "2 bytes in the place of 1000"),
        (stream(CONSTANT, b"ab"), "exactly one byte"),
        (stream(RANS, b""), "truncated"),
        (stream(RANS, bytes([12])), "more lanes"),
        (stream(RANS, bytes([0xF0, 0])), "no tables"),
        (stream(RANS, bytes([0xF0, MOST_TABLES + 1])), f"at most {MOST_TABLES}"),
        (stream(RANS, bytes([0x10]) + write_varint(1001)), "at most 1000"),
        (stream(RANS, bytes([0x10]) + write_varint(900) + ONE), "truncated"),
        (stream(RANS, bytes([0]) + ONE + bytes(3)), "truncated"),
        (stream(RANS, bytes([11]) + ONE + bytes(4)), "truncated"),
        (stream(RANS, bytes([0]) + ONE + bytes(4)), "does not end"),
        (stream(RANS, bytes([0]) + ONE + bytes(5)), "within a word"),
        (stream(RANS, bytes([5]) + ONE + bytes(128)), "truncated"),
        (stream(RANS, bytes([5]) + ONE + bytes(128) + b"\0\x20"), "lengths of 32 bits"),
        (stream(RANS, bytes([5]) + ONE + bytes(128) + b"\0\7"), "truncated"),
        (stream(RANS, bytes([5]) + ONE + bytes(128) + b"\1\0a"), "within a word"),
        (stream(RANS, bytes([5]) + ONE + bytes(128) + b"\0\0"), "does not end"),
        (stream(RANS, bytes([5]) + ONE + bytes(128) + b"\1\0ab"), "does not end"),
        (stream(3, b"ab"), "does not know"),
    ],
)
def test_forged_streams_are_refused(coded, said):
    with pytest.raises(PayloadError, match=said):
        read_stream(ByteReader(coded, what="a stream"), 1000)
    with compiled.without_numba(), pytest.raises(PayloadError, match=said):
        read_stream(ByteReader(coded, what="a stream"), 1000)


@pytest.mark.parametrize("numba", [True, False])
def test_forged_tables_and_lanes_take_little_memory(numba):
    if numba:
        pytest.importorskip("numba", reason="numba is not installed")
        assert compiled.load()
    count = 1 << 16
    sections = b"".join([write_varint(1000)] * (MOST_TABLES - 1))
    forged = [
        bytes([0xFB, MOST_TABLES]) + sections + ONE * MOST_TABLES + bytes(4 * 2048 + 4),
        bytes([0xF0]) + write_varint(1 << 16) + ONE * (1 << 16),
    ]
    with nullcontext() if numba else compiled.without_numba():
        come_back([binomial(9000)])  # loads what is compiled
        for data in forged:
            tracemalloc.start()
            try:
                with pytest.raises(PayloadError):
                    read_stream(ByteReader(stream(RANS, data), what="a stream"), count)
                assert tracemalloc.get_traced_memory()[1] < 16 << 20
            finally:
                tracemalloc.stop()
