"""MNIST and Fashion-MNIST."""

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

from flwr_gan.data import Dataset, mnist
from flwr_gan.data.mnist import (
    FASHION_MNIST_FILES,
    MNIST_FILES,
    load_fashion_mnist,
    load_mnist,
    parse_idx,
)
from flwr_gan.data.sources import SourceFile
from flwr_gan.errors import DataError


@pytest.fixture
def toy_files(no_data: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Put four small idx files where MNIST is looked for."""
    images = np.arange(10 * 6, dtype=np.uint8).reshape(10, 2, 3)
    images[0] = 255
    labels = np.arange(10, dtype=np.uint8)
    contents = {
        "images": bytes([0, 0, 8, 3, 0, 0, 0, 10, 0, 0, 0, 2, 0, 0, 0, 3]) + images.tobytes(),
        "labels": bytes([0, 0, 8, 1, 0, 0, 0, 10]) + labels.tobytes(),
    }
    paths = {}
    files = {}
    for part, file in MNIST_FILES.items():
        content = contents[part.split("-")[1]]
        files[part] = SourceFile(
            path=file.path,
            num_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            urls=file.urls,
            other_paths=file.other_paths,
        )
        paths[part] = no_data / "shared" / file.path
        paths[part].parent.mkdir(exist_ok=True)
        paths[part].write_bytes(gzip.compress(content))
    monkeypatch.setattr(mnist, "MNIST_FILES", files)
    return paths


def test_pixels_are_scaled_and_rows_are_vectors(toy_files: dict[str, Path]) -> None:
    dataset = load_mnist(download=False)
    assert dataset.train.x_NTC.shape == (10, 2, 3)
    assert dataset.train.x_NTC[0].min() == 1
    np.testing.assert_allclose(
        dataset.train.x_NTC[1, 0], np.array([6, 7, 8]) / 127.5 - 1, rtol=1e-6
    )
    np.testing.assert_array_equal(dataset.test.y_N, np.arange(10))


def test_a_truncated_part_is_named(toy_files: dict[str, Path]) -> None:
    for path in toy_files.values():
        whole = path.read_bytes()
        path.write_bytes(whole[:-12])
        with pytest.raises(DataError, match=r"truncated|corrupt") as caught:
            load_mnist(download=False)
        assert str(path) in str(caught.value)
        path.write_bytes(whole)


@pytest.mark.parametrize("gunzipped", [False, True])
@pytest.mark.parametrize("layout", ["mnist", "MNIST/raw"])
def test_files_are_found_as_others_keep_them(
    toy_files: dict[str, Path], layout: str, gunzipped: bool
) -> None:
    expected = load_mnist(download=False)
    for path in toy_files.values():
        content = path.read_bytes()
        path.unlink()
        other = path.parents[1] / layout / (path.stem if gunzipped else path.name)
        other.parent.mkdir(parents=True, exist_ok=True)
        other.write_bytes(gzip.decompress(content) if gunzipped else content)
    found = load_mnist(download=False)
    np.testing.assert_array_equal(found.train.x_NTC, expected.train.x_NTC)
    np.testing.assert_array_equal(found.test.y_N, expected.test.y_N)


def test_an_absent_part_is_named(toy_files: dict[str, Path]) -> None:
    toy_files["test-labels"].unlink()
    with pytest.raises(DataError, match=r"mnist/t10k-labels-idx1-ubyte\.gz not found in"):
        load_mnist(download=False)


@pytest.mark.parametrize("files", [MNIST_FILES, FASHION_MNIST_FILES])
def test_every_part_has_a_home(files: dict[str, SourceFile]) -> None:
    assert len({file.sha256 for file in files.values()}) == 4
    for file in files.values():
        assert all(url.endswith(file.path.split("/")[1]) for url in file.urls)


@pytest.mark.parametrize("loader", [load_mnist, load_fashion_mnist])
def test_real_files_have_the_published_counts(load_or_skip, loader) -> None:
    dataset: Dataset = load_or_skip(loader)
    assert (len(dataset.train), len(dataset.test)) == (60_000, 10_000)
    if loader is load_mnist:
        np.testing.assert_array_equal(
            np.bincount(dataset.test.y_N), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
        )
        assert (dataset.train.x_NTC.mean() + 1) / 2 == pytest.approx(0.1307, abs=1e-4)
    else:
        np.testing.assert_array_equal(np.bincount(dataset.test.y_N), [1000] * 10)
        assert (dataset.train.x_NTC.mean() + 1) / 2 == pytest.approx(0.2860, abs=1e-4)


def idx(array: np.ndarray) -> bytes:
    header = struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.mark.parametrize("shape", [(5,), (2, 3), (4, 2, 3), (0, 28, 28)])
def test_arrays_are_read_as_written(shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    np.testing.assert_array_equal(parse_idx(idx(array), name="x"), array)


def test_every_truncation_is_noticed() -> None:
    whole = idx(np.zeros((2, 3, 4)))
    for length in range(len(whole)):
        with pytest.raises(DataError, match="toy"):
            parse_idx(whole[:length], name="toy")


@pytest.mark.parametrize(
    "content",
    [
        b"\0\0\x08\x04" + bytes(16),
        b"\0\0\x0d\x03" + bytes(12),
        struct.pack(">4I", 0x803, 2**32 - 1, 2**32 - 1, 2**32 - 1) + bytes(100),
        idx(np.zeros(3)) + b"x",
    ],
    ids=["axes", "floats", "huge", "longer"],
)
def test_other_content_is_refused(content: bytes) -> None:
    with pytest.raises(DataError, match="toy"):
        parse_idx(content, name="toy")
