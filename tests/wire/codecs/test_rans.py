"""Two ways to run the same coder: the same bytes, the same symbols, the same errors."""

from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs import compiled
from flwr_gan.wire.codecs.sparse import rans
from flwr_gan.wire.codecs.sparse.tables import counted_table, mask_table

WAYS = ("numba", "numpy")


@contextmanager
def way(name):
    """Code with numba's loops, or with numpy's."""
    if name == "numba":
        pytest.importorskip("numba", reason="numba is not installed")
        assert compiled.load()
        yield
    else:
        with compiled.without_numba():
            yield


def drawn(count, kinds, skew, seed):
    rng = np.random.default_rng(seed)
    chances = np.arange(1, kinds + 1.0) ** -skew
    lowest = rng.integers(257 - kinds)
    return (lowest + rng.choice(kinds, count, p=chances / chances.sum())).astype(np.uint8)


@st.composite
def streams(draw):
    """Return symbols, where the sections of them end, a table for each, and a number of lanes."""
    sizes = draw(st.lists(st.integers(1, 900), min_size=1, max_size=4))
    kinds, skew = draw(st.integers(1, 256)), draw(st.sampled_from([0, 0.5, 2, 6]))
    sections = [drawn(n, kinds, skew, draw(st.integers(0, 999))) for n in sizes]
    make = draw(st.sampled_from([counted_table, mask_table]))
    tables = [make(np.bincount(part, minlength=256)) for part in sections]
    lanes = 1 << draw(st.integers(0, rans.MAX_LANE_BITS))
    return np.concatenate(sections), np.cumsum(sizes).tolist(), tables, lanes


def encoded(*stream):
    return b"".join(bytes(piece) for piece in rans.encode(*stream))


@given(streams())
@settings(max_examples=25, deadline=None)
def test_all_ways_write_and_read_the_same_bytes(stream):
    symbols, ends, tables, lanes = stream
    written = []
    for name in WAYS:
        with way(name):
            written.append(encoded(*stream))
    assert written[0] == written[1]
    for name in WAYS:
        with way(name):
            found = rans.decode(written[0], len(symbols), ends, tables, lanes)
            assert np.array_equal(found, symbols)


@given(streams(), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_all_ways_refuse_the_same_damage(stream, seed):
    symbols, ends, tables, lanes = stream
    rng = np.random.default_rng(seed)
    with way("numpy"):
        data = bytearray(encoded(*stream))
    kind = rng.integers(4)
    if kind == 0:
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    elif kind == 1:
        del data[2 * rng.integers(len(data) // 2) :]
    elif kind == 2:
        data += rng.bytes(2)
    else:
        data[: 4 * lanes] = rng.bytes(4 * lanes)
    outcomes = []
    for name in WAYS:
        with way(name):
            try:
                found = rans.decode(bytes(data), len(symbols), ends, tables, lanes).tobytes()
            except PayloadError as error:
                found = str(error)
        outcomes.append(found)
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("name", WAYS)
def test_truncated_words_and_other_states_are_refused(name):
    symbols = drawn(3000, 40, 1, 0)
    table = counted_table(np.bincount(symbols, minlength=256))
    with way(name):
        data = encoded(symbols, [3000], [table], 4)
        assert len(data) < 3000
        for wrong, said in (
            (data[:12], "truncated"),
            (data[:-1], "truncated"),
            (data[:-2], "does not end"),
            (data + b"\0\0", "does not end"),
            (bytes(16) + data[16:], "does not end"),
            (b"\xff" * 16 + data[16:], "does not end"),
        ):
            with pytest.raises(PayloadError, match=said):
                rans.decode(wrong, 3000, [3000], [table], 4)


def test_size_is_near_the_entropy():
    symbols = drawn(200_000, 256, 0.7, 1)
    counts = np.bincount(symbols, minlength=256)
    table = counted_table(counts)
    used = counts[counts > 0]
    entropy = float(used @ np.log2(len(symbols) / used)) / 8
    for lanes in (1, 64):
        length = len(encoded(symbols, [len(symbols)], [table], lanes))
        assert length <= 1.001 * entropy + 2 * lanes + 4


def test_lanes_follow_from_the_size():
    found = [rans.lane_bits(size, count) for size, count in ((1, 1), (5e3, 9e3), (1e9, 1e9))]
    assert found == sorted(found)
    assert found[0] == 0
    assert found[-1] == rans.MAX_LANE_BITS
    # However well symbols are coded, a lane has four of them.
    assert rans.lane_bits(1e6, 64) <= 4
