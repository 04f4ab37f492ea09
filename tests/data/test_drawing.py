"""Strokes to vectors and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from flwr_gan.data import strokes_to_vectors, vectors_to_strokes
from flwr_gan.data.drawing import FloatArray, rasterised
from flwr_gan.data.glyphs import GLYPHS
from flwr_gan.errors import ConfigError, DataError

coordinates = st.integers(-500, 500).map(float)
stroke = st_numpy.arrays(
    np.float64, st.tuples(st.integers(1, 12), st.just(2)), elements=coordinates
)
drawing = st.lists(stroke, min_size=1, max_size=5)


def side(strokes: list[FloatArray]) -> float:
    return float(np.ptp(np.concatenate(strokes), axis=0).max())


def distance_to_polyline(points: FloatArray, polyline: FloatArray) -> float:
    """Return the largest distance of `points` from the polyline."""
    starts, steps = polyline[:-1], np.diff(polyline, axis=0)
    squared = np.maximum((steps**2).sum(axis=1), 1e-300)
    along = ((points[:, None] - starts) * steps).sum(axis=2) / squared
    feet = starts + np.clip(along, 0, 1)[..., None] * steps
    return float(np.hypot(*np.moveaxis(points[:, None] - feet, 2, 0)).min(axis=1).max())


@given(strokes=drawing, num_vectors=st.integers(9, 30))
def test_round_trip_keeps_strokes_their_ends_and_their_course(
    strokes: list[FloatArray], num_vectors: int
) -> None:
    x_TC = strokes_to_vectors(strokes, num_vectors=num_vectors)
    assert x_TC.shape == (num_vectors, 3)
    assert x_TC.dtype == np.float32
    assert np.abs(x_TC).max() <= 1
    assert set(np.unique(x_TC[:, 2])) <= {-1.0, 1.0}
    assert (x_TC[:, 2] < 0).sum() == len(strokes) - 1

    read_back = vectors_to_strokes(x_TC)
    assert len(read_back) == len(strokes)
    scale = side(strokes) or 1.0
    for got, original in zip(read_back, strokes, strict=True):
        wanted = (original - strokes[0][0]) / scale
        np.testing.assert_allclose(got[0], wanted[0], atol=1e-5)
        np.testing.assert_allclose(got[-1], wanted[-1], atol=1e-5)
        assert distance_to_polyline(got, np.concatenate([wanted, wanted[-1:]])) < 1e-5


@pytest.mark.parametrize("seed", range(20))
def test_equally_long_vectors_come_back_as_they_were(seed: int) -> None:
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi, size=10)
    x_TC = np.stack([0.1 * np.cos(angle), 0.1 * np.sin(angle), np.ones(10)], axis=1)
    x_TC[[3, 6], :2] = rng.uniform(-1, 1, size=(2, 2))
    x_TC[[3, 6], 2] = -1
    again = strokes_to_vectors(vectors_to_strokes(x_TC), num_vectors=10, extent=1.0)
    np.testing.assert_allclose(again, x_TC, atol=1e-6)


@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e6])
def test_size_and_place_do_not_matter_without_an_extent(factor: float) -> None:
    zigzag = np.array([[0, 0], [1, 2], [2, 0], [3, 2.0]])
    np.testing.assert_allclose(
        strokes_to_vectors([zigzag * factor + 7 * factor], num_vectors=10),
        strokes_to_vectors([zigzag], num_vectors=10),
        atol=1e-6,
    )


def test_an_extent_keeps_sizes_apart() -> None:
    line = np.array([[0.0, 0.0], [0.0, 1.0]])
    x_TC = strokes_to_vectors([line * 0.5], num_vectors=4, extent=2.0)
    np.testing.assert_allclose(x_TC, np.tile([0, 0.0625, 1], (4, 1)))
    assert strokes_to_vectors([line * 9], num_vectors=1, extent=2.0)[0, 1] == 1


def test_vectors_are_dealt_by_length_and_are_equally_long() -> None:
    long = np.array([[0, 0], [0, 6.0]])
    short = np.array([[1, 0], [1, 3.0]])
    x_TC = strokes_to_vectors([long, short], num_vectors=10)
    np.testing.assert_array_equal(x_TC[:, 2], [1] * 6 + [-1] + [1] * 3)
    np.testing.assert_allclose(x_TC[x_TC[:, 2] > 0, 1], 1 / 6, rtol=1e-6)
    np.testing.assert_allclose(x_TC[6, :2], [1 / 6, -1], rtol=1e-6)


def test_corners_are_kept_when_asked_for() -> None:
    corner = np.array([[0, 0], [0, 10], [1, 10.0]])
    kept = vectors_to_strokes(strokes_to_vectors([corner], num_vectors=5, corner_deg=45))[0]
    cut = vectors_to_strokes(strokes_to_vectors([corner], num_vectors=5))[0]
    assert np.abs(kept - [0, 1]).sum(axis=1).min() < 1e-6
    assert np.abs(cut - [0, 1]).sum(axis=1).min() > 0.05


def test_corners_give_way_when_vectors_are_few() -> None:
    zigzag = np.stack([np.arange(9.0), np.arange(9.0) % 2], axis=1)
    assert strokes_to_vectors([zigzag], num_vectors=3, corner_deg=45).shape == (3, 3)


@pytest.mark.parametrize("letter", GLYPHS)
def test_every_glyph_keeps_its_strokes(letter: str) -> None:
    glyph = list(GLYPHS[letter])
    read_back = vectors_to_strokes(strokes_to_vectors(glyph, num_vectors=10, corner_deg=50))
    assert len(read_back) == len(glyph)
    for got, original in zip(read_back, glyph, strict=True):
        wanted = (original - glyph[0][0]) / side(glyph)
        # Ten vectors cut the curves of B most, by less than a sixth of the height.
        assert distance_to_polyline(wanted, got) < 0.15


def test_a_dot_is_a_stroke_without_length() -> None:
    x_TC = strokes_to_vectors([[[3.0, 4.0]]], num_vectors=3)
    np.testing.assert_array_equal(x_TC, np.tile([0, 0, 1], (3, 1)))


def test_too_many_strokes_lose_the_shortest() -> None:
    strokes = [np.array([[i, 0], [i, length]]) for i, length in enumerate([5.0, 1.0, 4.0, 3.0])]
    x_TC = strokes_to_vectors(strokes, num_vectors=5)
    read_back = vectors_to_strokes(x_TC)
    heights = [np.ptp(points[:, 1]) * 5 for points in read_back]
    np.testing.assert_allclose(heights, [5, 4, 3], rtol=1e-6)


def test_pen_is_down_only_above_the_threshold() -> None:
    x_TC = np.array([[1, 0, 0.01], [1, 0, 0.0], [1, 0, -0.5], [0, 1, 0.7], [0, 1, 0.9]])
    first, second = vectors_to_strokes(x_TC)
    np.testing.assert_array_equal(first, [[0, 0], [1, 0]])
    np.testing.assert_array_equal(second, [[3, 0], [3, 1], [3, 2]])
    assert [len(points) for points in vectors_to_strokes(x_TC, threshold=0.8)] == [2]
    assert vectors_to_strokes(x_TC, threshold=2) == []


@given(
    x_TC=st_numpy.arrays(
        np.float32, st.tuples(st.integers(1, 15), st.just(3)), elements=st.floats(-1, 1, width=32)
    )
)
def test_any_vectors_read_back_as_drawings(x_TC: np.ndarray) -> None:
    strokes = vectors_to_strokes(x_TC)
    assert sum(len(points) - 1 for points in strokes) == (x_TC[:, 2] > 0).sum()


def test_bad_drawings_and_settings_are_refused() -> None:
    line = np.array([[0.0, 0.0], [1.0, 1.0]])
    with pytest.raises(DataError, match="at least one stroke"):
        strokes_to_vectors([], num_vectors=5)
    with pytest.raises(DataError, match="not finite"):
        strokes_to_vectors([line * np.nan], num_vectors=5)
    with pytest.raises(DataError, match="shape"):
        strokes_to_vectors([line[:0]], num_vectors=5)
    with pytest.raises(ConfigError, match="num_vectors"):
        strokes_to_vectors([line], num_vectors=0)
    with pytest.raises(ConfigError, match="extent"):
        strokes_to_vectors([line], num_vectors=5, extent=0.0)


def test_strokes_on_pixels():
    # right, up with the pen lifted, left: two rows of ink
    x_NTC = np.array(
        [[[0.5, 0, 1], [0, 0.5, -1], [-0.5, 0, 1]], [[0, -0.99, 1], [1, 0, -1], [1, 0, 1]]]
    )
    first, second = rasterised(x_NTC, side=8)
    expected = -np.ones((8, 8))
    expected[3, 4:7] = expected[1, 4:7] = 1  # row 3 is the first above the middle
    np.testing.assert_array_equal(first, expected)
    assert (second[:, 4] == 1).tolist() == [False] * 3 + [True] * 5
    assert second.sum() == 5 - 59  # the last move begins at the edge
    assert second.dtype == np.float32
