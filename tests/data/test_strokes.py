"""The drawn characters."""

import numpy as np
import pytest

from flwr_gan.data import Dataset
from flwr_gan.data.glyphs import GLYPHS
from flwr_gan.data.strokes import CHARACTERS, Hand, load_strokes, write
from flwr_gan.errors import ConfigError


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load_strokes()


def test_it_has_the_paper_s_size_and_classes(dataset: Dataset) -> None:
    assert len(dataset.train) + len(dataset.test) == 3314
    assert dataset.class_names == tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZČŠŽ")
    assert (dataset.num_vectors, dataset.num_components) == (10, 3)
    counts = np.bincount(dataset.train.y_N) + np.bincount(dataset.test.y_N)
    assert set(counts.tolist()) == {84, 85}
    assert dataset.train.writer_N is not None
    assert len(np.unique(dataset.train.writer_N)) == 26


def test_no_move_is_cut_off(dataset: Dataset) -> None:
    assert np.abs(dataset.train.x_NTC[..., :2]).max() < 1
    assert np.abs(dataset.test.x_NTC[..., :2]).max() < 1


def test_a_nearest_neighbour_reads_the_held_out_writers(dataset: Dataset) -> None:
    train = dataset.train.x_NTC.reshape(len(dataset.train), -1)
    test = dataset.test.x_NTC.reshape(len(dataset.test), -1)
    squared = (train**2).sum(axis=1) - 2 * test @ train.T
    read = dataset.train.y_N[squared.argmin(axis=1)]
    assert (read == dataset.test.y_N).mean() > 0.95


def test_the_seed_decides() -> None:
    small = {"num_samples": 80, "num_writers": 4}
    first = load_strokes(**small).train.x_NTC
    np.testing.assert_array_equal(first, load_strokes(**small).train.x_NTC)
    other = load_strokes(**small, split_seed=1).train.x_NTC
    assert first.shape != other.shape or (first != other).any()


@pytest.mark.parametrize("num_writers", [2, 39, 80])
def test_every_writer_draws_about_equally_much(num_writers: int) -> None:
    dataset = load_strokes(num_samples=80, num_writers=num_writers)
    writers = [part.writer_N for part in (dataset.train, dataset.test)]
    counts = np.bincount(np.concatenate(writers), minlength=num_writers)
    assert len(counts) == num_writers
    assert np.ptp(counts) <= 1


def test_hands_differ_in_slant_size_and_roughness() -> None:
    def stem(**changes: float) -> np.ndarray:
        settings = {"slant": 0.0, "size": 0.8, "width": 1.0, "tilt_rad": 0.0, "roughness": 0.0}
        hand = Hand(**(settings | changes))
        strokes = [write(GLYPHS["D"], hand, np.random.default_rng(seed))[0] for seed in range(40)]
        return np.stack([stroke - stroke[-1] for stroke in strokes])

    upright, leaning = stem(), stem(slant=0.5)
    assert leaning[:, 0, 0].mean() - upright[:, 0, 0].mean() == pytest.approx(0.4, abs=0.05)
    assert stem(size=0.4)[:, 0, 1].mean() == pytest.approx(upright[:, 0, 1].mean() / 2, rel=0.05)

    def bend(stems: np.ndarray) -> float:
        straight = np.linspace(0, 1, stems.shape[1])[:, None] * (stems[:, -1:] - stems[:, :1])
        return float(np.abs(stems - stems[:, :1] - straight).max(axis=(1, 2)).mean())

    assert bend(upright) < 1e-12
    assert bend(stem(roughness=0.05)) > 2 * bend(stem(roughness=0.01)) > 0


@pytest.mark.parametrize(
    "settings",
    [
        {"num_vectors": 0},
        {"num_samples": 77},
        {"num_writers": 1},
        {"num_samples": 80, "num_writers": 81},
        {"num_samples": 80, "test_fraction": 0.0},
        {"num_writers": 3.5},
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"^data\.[a-z_]+=.* is not allowed: give "):
        load_strokes(**settings)


def test_glyphs_have_height_one_and_start_where_a_pen_would() -> None:
    assert len(CHARACTERS) == 39
    for letter, glyph in GLYPHS.items():
        points = np.concatenate(glyph)
        assert points.min() > -0.05, letter
        assert points[:, 1].max() == pytest.approx(1, abs=0.03), letter
        assert points[:, 0].max() <= 1.05, letter
        assert len(glyph) <= 3, letter
