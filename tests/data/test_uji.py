"""UJI Pen Characters."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from flwr_gan.data import Dataset
from flwr_gan.data.uji import (
    CHARACTERS,
    VERSION_1_FILE,
    VERSION_2_FILE,
    load_uji,
    parse_version_1,
    parse_version_2,
)
from flwr_gan.errors import ConfigError, DataError

STROKE = [[1, 5], [2, 7], [3, 5]]


def zipped(samples: list[np.ndarray], *, first: int = 0) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("dataset_npz/", b"")
        # The archive is in no order.
        for number, points in reversed(list(enumerate(samples, first))):
            member = io.BytesIO()
            np.savez(member, coord_x=points[:, 0], coord_y=points[:, 1], label="?")
            archive.writestr(f"dataset_npz/{number:06d}-A.npz", member.getvalue())
    return stream.getvalue()


def test_version_1_is_labelled_by_number_and_split_at_the_origin() -> None:
    one = np.array([[0.25, 0.25], [0.75, 0.75], [0, 0]])
    two = np.array([[0.25, 0.25], [0.3, 0.3], [0, 0], [0.75, 0.5], [0, 0]])
    drawings, y_N, writer_N = parse_version_1(zipped([one, two] * 93), name="toy")
    names = [CHARACTERS[label] for label in y_N]
    assert names[:2] == ["a", "b"]
    assert (names[26], names[52], names[61], names[62]) == ("A", "0", "9", "a")
    np.testing.assert_array_equal(writer_N, [0] * 124 + [1] * 62)
    assert [len(strokes) for strokes in drawings[:2]] == [1, 2]
    np.testing.assert_array_equal(drawings[1][0], two[:2])
    np.testing.assert_array_equal(drawings[1][1], two[3:4])


def test_version_1_refuses_other_archives() -> None:
    good = zipped([np.array([[0.25, 0.25], [0, 0]])])
    objects = io.BytesIO()
    with zipfile.ZipFile(objects, "w") as archive:
        member = io.BytesIO()
        array = np.array([{}], dtype=object)
        np.savez(member, coord_x=array, coord_y=array)
        archive.writestr("000000-A.npz", member.getvalue())
    for content in (
        b"",
        good[:-40],
        good.replace(b"\x93NUMPY", b"\x93NUMPX"),
        zipped([np.array([[0.25, 0.25]])]),
        zipped([np.array([[0.25, 0.25], [0, 0]])], first=1),
        zipped([]),
        objects.getvalue(),
    ):
        with pytest.raises(DataError, match="toy"):
            parse_version_1(content, name="toy")


def test_version_2_is_turned_upwards_and_numbered_by_writer() -> None:
    raw = {digit: [[STROKE], [STROKE, STROKE], [STROKE]] for digit in "0123456789"}
    drawings, y_N, writer_N = parse_version_2(json.dumps({"rawData": raw}).encode(), name="toy")
    np.testing.assert_array_equal(y_N, np.repeat(np.arange(10), 3))
    np.testing.assert_array_equal(writer_N, [0, 0, 1] * 10)
    np.testing.assert_array_equal(drawings[1][1], [[1, -5], [2, -7], [3, -5]])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b'{"rawData": {"0": [[[[1, 2], [3]]]]}}',
        b'{"rawData": {"0": [[[["a", 2]]]]}}',
        json.dumps({"rawData": {digit: [] for digit in "0123456789"}}).encode(),
        b"[" * 100_000,
    ],
)
def test_version_2_refuses_other_texts(content: bytes) -> None:
    with pytest.raises(DataError, match="toy"):
        parse_version_2(content, name="toy")


@pytest.mark.parametrize(("version", "file"), [(1, VERSION_1_FILE), (2, VERSION_2_FILE)])
def test_truncated_and_absent_files_are_named(no_data: Path, version: int, file) -> None:
    with pytest.raises(DataError, match="not found in") as caught:
        load_uji(version=version, download=False)
    assert file.path in str(caught.value)
    path = no_data / "shared" / file.path
    path.parent.mkdir()
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match="truncated") as caught:
        load_uji(version=version, download=False)
    assert str(path) in str(caught.value)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.version=3 is not allowed: give 1 .* or 2"):
        load_uji(version=3)
    with pytest.raises(ConfigError, match=r"data\.num_vectors=0"):
        load_uji(num_vectors=0)


@pytest.mark.parametrize(
    ("version", "classes", "samples", "writers"), [(1, 62, 1364, 11), (2, 10, 1200, 60)]
)
def test_real_files_have_the_published_counts(
    load_or_skip, version: int, classes: int, samples: int, writers: int
) -> None:
    dataset: Dataset = load_or_skip(load_uji, version=version)
    assert dataset.num_classes == classes
    assert len(dataset.train) + len(dataset.test) == samples
    assert dataset.train.writer_N is not None
    assert dataset.test.writer_N is not None
    both = [set(part.writer_N.tolist()) for part in (dataset.train, dataset.test)]
    assert len(both[0] | both[1]) == writers
    assert len(both[1]) == round(writers / 4)


def test_real_versions_agree_on_a_straight_seven(load_or_skip) -> None:
    # Both files hold the digits of the same first writers: a drawing starts in the same direction.
    first: Dataset = load_or_skip(load_uji, version=1, test_fraction=0.01)
    second: Dataset = load_or_skip(load_uji, version=2, test_fraction=0.01)
    means = [
        d.train.x_NTC[d.train.y_N == 7][:, :, :2].sum(axis=1).mean(axis=0) for d in (first, second)
    ]
    # A seven ends below where it starts.
    assert means[0][1] < -0.2
    assert means[1][1] < -0.2
