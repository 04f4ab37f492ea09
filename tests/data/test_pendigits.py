"""The pen digits of 44 writers."""

from pathlib import Path

import numpy as np
import pytest

from flwr_gan.data import Dataset, vectors_to_strokes
from flwr_gan.data.pendigits import FILES, load_pendigits, parse_unipen
from flwr_gan.data.sources import read_source
from flwr_gan.errors import ConfigError, DataError

HEADER = b'.INCLUDE dene.doc\n.LEXICON "0" "1"\n.HIERARCHY DIGIT\n\n'
SEVEN = (
    b'.SEGMENT DIGIT 0-1 ? "7"\n.COMMENT 7 12 224\n'
    b".PEN_DOWN\n 10 90\n 60 90\n 20 10\n.PEN_UP\n.DT 100\n"
    b".PEN_DOWN\n 15 50\n 55 50\n.PEN_UP\n.DT 100\n"
)
ONE = b'.SEGMENT DIGIT 2 ? "1"\n.COMMENT 1 3 5\n.PEN_DOWN\n 5 100\n 5 0\n.PEN_UP\n.DT 100\n'


def test_strokes_labels_and_writers_are_read() -> None:
    drawings, y_N, writer_N = parse_unipen(HEADER + SEVEN + ONE, name="toy")
    np.testing.assert_array_equal(y_N, [7, 1])
    np.testing.assert_array_equal(writer_N, [12, 3])
    assert [len(strokes) for strokes in drawings] == [2, 1]
    np.testing.assert_array_equal(drawings[0][0], [[10, 90], [60, 90], [20, 10]])
    np.testing.assert_array_equal(drawings[0][1], [[15, 50], [55, 50]])
    np.testing.assert_array_equal(drawings[1][0], [[5, 100], [5, 0]])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        HEADER,
        HEADER + ONE,
        HEADER + SEVEN + ONE[:-30],
        HEADER + SEVEN + ONE.replace(b"100", b"1x0"),
        HEADER + SEVEN + ONE.replace(b" 5 100\n", b" 5\n"),
        HEADER + SEVEN + ONE.replace(b" 5 100\n 5 0\n", b""),
        HEADER + SEVEN + ONE.replace(b"DIGIT 2", b"DIGIT 2-3"),
        HEADER + SEVEN + ONE.replace(b".SEGMENT", b".SEGMONT"),
    ],
)
def test_other_texts_are_refused(content: bytes) -> None:
    with pytest.raises(DataError, match="toy"):
        parse_unipen(content, name="toy")


def test_a_truncated_file_is_named(no_data: Path) -> None:
    path = no_data / "shared" / FILES["train"].path
    path.parent.mkdir()
    path.write_bytes(HEADER + SEVEN)
    with pytest.raises(DataError, match="truncated") as caught:
        load_pendigits(download=False)
    assert str(path) in str(caught.value)


def test_absent_files_are_named(no_data: Path) -> None:
    with pytest.raises(DataError, match=r"pendigits/pendigits-train not found in .*FLWR_GAN_DATA"):
        load_pendigits(download=False)


@pytest.mark.parametrize("num_vectors", [0, -3, 2.5, "ten", 10**9])
def test_a_number_of_vectors_out_of_range_is_refused(num_vectors: int) -> None:
    with pytest.raises(ConfigError, match=r"data\.num_vectors="):
        load_pendigits(num_vectors=num_vectors)


def test_real_files_have_the_published_counts(load_or_skip) -> None:
    dataset: Dataset = load_or_skip(load_pendigits)
    assert (len(dataset.train), len(dataset.test)) == (7494, 3498)
    np.testing.assert_array_equal(
        np.bincount(dataset.train.y_N), [780, 779, 780, 719, 780, 720, 720, 778, 719, 719]
    )
    assert dataset.train.writer_N is not None
    assert dataset.test.writer_N is not None
    assert set(dataset.train.writer_N.tolist()) == set(range(30))
    assert set(dataset.test.writer_N.tolist()) == set(range(30, 44))


def test_real_drawings_read_back_close_to_the_pen(load_or_skip) -> None:
    dataset: Dataset = load_or_skip(load_pendigits)
    content = read_source(FILES["test"], download=False)
    drawings, _, _ = parse_unipen(content, name="test")
    errors = []
    for strokes, x_TC in zip(drawings[:300], dataset.test.x_NTC[:300], strict=True):
        read_back = vectors_to_strokes(x_TC)
        assert len(read_back) == len(strokes)
        scale = np.ptp(np.concatenate(strokes), axis=0).max()
        for got, original in zip(read_back, strokes, strict=True):
            wanted = (original - strokes[0][0]) / scale
            # Points along the vectors, closely: how far is the pen's course from them?
            steps = np.linspace(0, len(got) - 1, 20 * len(got))
            course = np.stack(
                [np.interp(steps, np.arange(len(got)), got[:, axis]) for axis in (0, 1)], axis=1
            )
            errors.append(
                np.hypot(*(wanted[:, None] - course).transpose(2, 0, 1)).min(axis=1).mean()
            )
    assert np.mean(errors) < 0.02
