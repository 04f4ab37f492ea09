"""Sample grids, single strokes, partitions, and how they are saved."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from flwr_gan.errors import OutputError
from flwr_gan.plots import partition_picture, sample_grid, save_figure
from flwr_gan.plots.samples import STROKE_COLOURS, fit_drawing

# A vertical line, a lifted move, a horizontal line.
PLUS = np.array([[0, 0.5, 1], [0, 0.5, 1], [-0.5, -0.5, -1], [1, 0, 1]], dtype=np.float32)


def collections(figure: Figure) -> list[LineCollection]:
    return [c for axes in figure.axes for c in axes.collections if isinstance(c, LineCollection)]


def test_strokes_are_coloured_by_order_and_stand_upright() -> None:
    x_KnTC = np.broadcast_to(PLUS, (2, 3, 4, 3))
    (lines,) = collections(sample_grid(x_KnTC, ("a", "b"), "strokes"))
    assert len(lines.get_segments()) == 12
    assert [to_hex(c).upper() for c in lines.get_colors()[:2]] == list(STROKE_COLOURS[:2])
    vertical, horizontal = lines.get_segments()[:2]
    # The axes' y runs downwards, and the first stroke is drawn upwards.
    assert vertical[0, 1] - vertical[-1, 1] == pytest.approx(0.78, abs=1e-6)
    assert np.ptp(horizontal[:, 0]) == pytest.approx(0.78, abs=1e-6)


@pytest.mark.parametrize("num_classes", [1, 10, 39, 62])
def test_drawings_stay_in_their_cells(num_classes: int) -> None:
    rng = np.random.default_rng(0)
    x_KnTC = rng.uniform(-1, 1, size=(num_classes, 4, 10, 3)).astype(np.float32)
    names = [chr(ord("A") + k) for k in range(num_classes)]
    figure = sample_grid(x_KnTC, names, "strokes")
    (lines,) = collections(figure)
    (axes,) = figure.axes
    points = np.concatenate(lines.get_segments())
    low, high = sorted(axes.get_ylim())
    assert axes.get_xlim()[0] < points[:, 0].min() < points[:, 0].max() < axes.get_xlim()[1]
    assert low < points[:, 1].min() < points[:, 1].max() < high
    # Every name is written once, at the height of its row.
    assert {text.get_text() for text in axes.texts} == set(names)
    # Fits a screen, and is no strip.
    assert max(figure.get_size_inches()) < 20


def test_cells_are_squares() -> None:
    figure = sample_grid(np.zeros((3, 5, 8, 8), dtype=np.float32), ("a", "b", "c"), "image")
    (axes,) = figure.axes
    width, height = figure.get_size_inches()
    assert width / abs(np.ptp(axes.get_xlim())) == pytest.approx(
        height / abs(np.ptp(axes.get_ylim()))
    )
    assert len(axes.images) == 3


def test_the_images_of_a_class_are_side_by_side() -> None:
    x_KnTC = np.linspace(-1, 1, 2 * 3 * 6 * 8).reshape(2, 3, 6, 8)
    (axes,) = sample_grid(x_KnTC, ("a", "b"), "image").axes
    centres = [text.get_position()[1] for text in axes.texts]
    for k, image in enumerate(axes.images):
        shown = image.get_array()
        assert shown is not None
        kept = ~np.ma.getmaskarray(shown).all(axis=0)
        parts = np.split(shown[:, kept], 3, axis=1)
        assert np.allclose(np.stack(parts), x_KnTC[k])
        assert kept.sum() == 24 < len(kept)  # gaps between them
        left, right, bottom, top = image.get_extent()
        assert (bottom + top) / 2 == centres[k]
        assert (right - left) / len(kept) == pytest.approx((bottom - top) / 8)


def test_images_in_colour_are_drawn_as_they_are() -> None:
    x_KnTCc = np.linspace(-1, 1, 2 * 3 * 6 * 8 * 3).reshape(2, 3, 6, 8, 3)
    (axes,) = sample_grid(x_KnTCc, ("a", "b"), "image").axes
    for k, image in enumerate(axes.images):
        shown = np.asarray(image.get_array())
        kept = (shown[..., 3] == 1).all(axis=0)
        parts = np.stack(np.split(shown[:, kept, :3], 3, axis=1))
        np.testing.assert_allclose(parts, (x_KnTCc[k] + 1) / 2)
        assert (shown[:, ~kept, 3] == 0).all()
        assert kept.sum() == 24 < len(kept)


def test_other_numbers_of_channels_are_drawn_as_their_mean() -> None:
    x_KnTCc = np.stack([np.full((1, 1, 4, 4), level) for level in (-1.0, 0.5)], axis=-1)
    (axes,) = sample_grid(x_KnTCc, ("a",), "image").axes
    assert np.unique(np.asarray(axes.images[0].get_array())).tolist() == [0.25]  # dark as grey is


def test_values_that_are_not_finite_are_left_out_of_an_image() -> None:
    x_KnTCc = np.zeros((1, 1, 4, 4, 3))
    x_KnTCc[0, 0, 1, 2] = np.nan, 5, -5
    x_KnTCc[0, 0, 2, 2] = 5, -5, 0
    (axes,) = sample_grid(x_KnTCc, ("a",), "image").axes
    shown = np.asarray(axes.images[0].get_array())
    assert shown[1, 2, 3] == 0
    assert shown[2, 2].tolist() == [1, 0, 0.5, 1]


def test_samples_without_a_stroke_or_with_a_huge_one_are_drawn(tmp_path: Path) -> None:
    x_KnTC = np.zeros((2, 5, 10, 3), dtype=np.float32)
    x_KnTC[..., 2] = -1
    save_figure(sample_grid(x_KnTC, ("a", "b"), "strokes"), tmp_path / "none.png")
    x_KnTC[0, 0] = 1
    save_figure(sample_grid(x_KnTC, ("a", "b"), "strokes"), tmp_path / "huge.png")


def test_shapes_that_do_not_fit_are_refused() -> None:
    x_KnTC = np.zeros((2, 5, 10, 3), dtype=np.float32)
    with pytest.raises(ValueError, match="K = 3"):
        sample_grid(x_KnTC, ("a", "b", "c"), "image")
    with pytest.raises(ValueError, match="3 components"):
        sample_grid(x_KnTC[..., :2], ("a", "b"), "strokes")
    with pytest.raises(ValueError, match="3 components"):
        sample_grid(np.zeros((2, 5, 8, 3, 3)), ("a", "b"), "strokes")
    with pytest.raises(ValueError, match="are not"):
        partition_picture(np.zeros((2, 3), dtype=int), ("a", "b"))


def test_fitting_shrinks_what_is_larger_than_the_unit() -> None:
    (stroke,) = fit_drawing([np.array([[0, 0], [4.0, 2.0]])], centre=(1, 1), side=0.5)
    np.testing.assert_allclose(stroke, [[0.75, 0.875], [1.25, 1.125]])
    assert fit_drawing([], centre=(0, 0), side=1) == []


@pytest.mark.long
@pytest.mark.parametrize(("clients", "classes"), [(1, 2), (5, 62), (50, 10), (300, 10)])
def test_partitions_of_all_sizes_are_drawn(tmp_path: Path, clients: int, classes: int) -> None:
    counts_PK = np.random.default_rng(0).integers(0, 500, size=(clients, classes))
    names = [f"class {k}" for k in range(classes)]
    figure = partition_picture(counts_PK, names, title="toy")
    (axes,) = figure.axes
    texts = {text.get_text() for text in axes.texts}
    if clients <= 50:
        assert str(counts_PK.max()) in texts
        assert f"{counts_PK[0].sum():,}" in texts
    assert max(figure.get_size_inches()) <= 45
    save_figure(figure, tmp_path / "partition.png", dpi=40)


def test_no_samples_at_all_are_drawn() -> None:
    partition_picture(np.zeros((2, 2), dtype=int), ("a", "b"))


def test_files_are_complete_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = sample_grid(np.zeros((2, 1, 4, 4)), ("a", "b"), "image")
    path = tmp_path / "new" / "plus.png"
    save_figure(figure, path)
    first = path.read_bytes()
    assert first.startswith(b"\x89PNG")
    save_figure(figure, path)
    assert path.read_bytes() == first

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OutputError, match="No space left"):
        save_figure(figure, path)
    assert path.read_bytes() == first
    assert [entry.name for entry in path.parent.iterdir()] == ["plus.png"]


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"must be one of .*png"):
        save_figure(Figure(), tmp_path / "picture.txt")
    assert not list(tmp_path.iterdir())
