"""``mnist`` and ``fashion_mnist``: 70,000 images of 28 x 28 pixels each, as 28 rows of 28."""

import math
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flwr_gan.data.dataset import Dataset, Samples, scaled
from flwr_gan.data.sources import SourceFile, read_source
from flwr_gan.errors import DataError

_IMAGE_BYTES = 28 * 28
_NAMES = {
    "train-images": ("train-images-idx3-ubyte.gz", 16 + 60_000 * _IMAGE_BYTES),
    "train-labels": ("train-labels-idx1-ubyte.gz", 8 + 60_000),
    "test-images": ("t10k-images-idx3-ubyte.gz", 16 + 10_000 * _IMAGE_BYTES),
    "test-labels": ("t10k-labels-idx1-ubyte.gz", 8 + 10_000),
}


def _files(
    folder: str, torchvision: str, mirrors: tuple[str, ...], sha256: dict[str, str]
) -> dict[str, SourceFile]:
    return {
        part: SourceFile(
            path=f"{folder}/{name}",
            num_bytes=num_bytes,
            sha256=sha256[part],
            urls=tuple(f"{mirror}/{name}" for mirror in mirrors),
            other_paths=(f"{torchvision}/raw/{name}",),
        )
        for part, (name, num_bytes) in _NAMES.items()
    }


MNIST_FILES = _files(
    "mnist",
    "MNIST",
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        "https://storage.googleapis.com/cvdf-datasets/mnist",
    ),
    {
        "train-images": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "test-images": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "test-labels": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
)
FASHION_MNIST_FILES = _files(
    "fashion-mnist",
    "FashionMNIST",
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        (
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/"
            "b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion"
        ),
    ),
    {
        "train-images": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "test-images": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "test-labels": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
)
FASHION_CLASS_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
    "Ankle boot",
)  # fmt: skip


def load_mnist(*, folder: str | Path | None = None, download: bool = True) -> Dataset:
    """Return MNIST (LeCun, Cortes, Burges): 60,000 and 10,000 digits, 0 .. 255 scaled to [-1, 1].

    Parameters
    ----------
    folder : path, optional
        A data folder to search before the usual ones.
    download : bool
        Whether missing files may be downloaded.

    Raises
    ------
    DataError
        When files are missing or have the wrong content.
    """
    return _load("mnist", MNIST_FILES, tuple("0123456789"), folder, download)


def load_fashion_mnist(*, folder: str | Path | None = None, download: bool = True) -> Dataset:
    """Return Fashion-MNIST (Xiao, Rasul, Vollgraf 2017): 60,000 and 10,000 garments in [-1, 1].

    Parameters and errors are those of ``load_mnist``.
    """
    return _load("fashion_mnist", FASHION_MNIST_FILES, FASHION_CLASS_NAMES, folder, download)


def _load(
    name: str,
    files: dict[str, SourceFile],
    class_names: tuple[str, ...],
    folder: str | Path | None,
    download: bool,
) -> Dataset:
    arrays = {
        part: parse_idx(read_source(file, folder=folder, download=download), name=file.path)
        for part, file in files.items()
    }
    return Dataset(
        name=name,
        train=_samples(arrays["train-images"], arrays["train-labels"], f"{name} train"),
        test=_samples(arrays["test-images"], arrays["test-labels"], f"{name} test"),
        class_names=class_names,
        kind="image",
    )


def _samples(images: np.ndarray, labels: np.ndarray, name: str) -> Samples:
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        raise DataError(f"{name}: {images.shape} images do not fit {labels.shape} labels")
    return Samples(scaled(images), labels.astype(np.int64))


# Third byte 0x08: unsigned bytes; fourth: the number of axes.
_MAGIC_UNSIGNED_BYTES = 0x0800
_MAX_AXES = 3


def parse_idx(content: bytes, *, name: str) -> npt.NDArray[np.uint8]:
    """Return the array of an idx file of unsigned bytes, 1 to 3 axes, without copying it.

    An idx file is a big-endian uint32 magic number, one uint32 per axis, then the bytes. A
    DataError names a file with an invalid header or the wrong length.
    """
    if len(content) < 4:
        raise DataError(f"{name} is truncated: {len(content)} bytes are no idx file")
    (magic,) = struct.unpack_from(">I", content)
    num_axes = magic - _MAGIC_UNSIGNED_BYTES
    if not 1 <= num_axes <= _MAX_AXES:
        raise DataError(f"{name} is no idx file of unsigned bytes: its magic number is {magic}")
    header_bytes = 4 * (1 + num_axes)
    if len(content) < header_bytes:
        raise DataError(f"{name} is truncated within its header")
    shape = struct.unpack_from(f">{num_axes}I", content, 4)
    # Python integers: no overflow for any header.
    expected_bytes = header_bytes + math.prod(shape)
    if len(content) != expected_bytes:
        raise DataError(f"{name} has {len(content)} bytes; its header says {expected_bytes}")
    return np.frombuffer(content, dtype=np.uint8, offset=header_bytes).reshape(shape)
