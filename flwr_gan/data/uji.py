"""``uji``: UJI Pen Characters (Prat et al. 2008), version 1 (62 characters) or 2 (its digits)."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from flwr_gan.core.settings import checked, require
from flwr_gan.data.dataset import Dataset, split_by_writer
from flwr_gan.data.drawing import FloatArray, NumVectors, drawn_samples
from flwr_gan.data.sources import SourceFile, read_source
from flwr_gan.errors import DataError

VERSION_1_FILE = SourceFile(
    path="uji_pen_v1_normalised/dataset_npz.zip",
    num_bytes=1_518_037,
    sha256="766fdef6491ca76fa0498f99f01d075d7443e045bc0202d14c0b48e671548724",
    urls=(
        (
            "https://raw.githubusercontent.com/YeongHyeon/Sequence-Autoencoder/"
            "7734c14889319a5ffb4eacf0facd5e4b9d2c59e3/dataset_npz.zip"
        ),
    ),
)
VERSION_2_FILE = SourceFile(
    path="uji_pen_v2_digits/ujipenchars2.json",
    num_bytes=896_290,
    sha256="e09d00763f0ff33a98f5e2d14b3140c41423b27497af543c9cef4cdc1f3edc31",
    urls=(
        (
            "https://raw.githubusercontent.com/bridger/NumberPad/"
            "de2f2285144d16346bffdd37b94af75eb6fa2d13/Data/ujipenchars2.json"
        ),
    ),
)
DIGITS = "0123456789"
LOWER = "abcdefghijklmnopqrstuvwxyz"
CHARACTERS = DIGITS + LOWER.upper() + LOWER
# The order of the characters within a writer's session.
_SESSION = LOWER + LOWER.upper() + DIGITS
_REPETITIONS = 2
_MAX_MEMBER_BYTES = 1 << 20

Parsed = tuple[list[list[FloatArray]], np.ndarray, np.ndarray]


def load_uji(
    *,
    version: int = 1,
    num_vectors: int = 10,
    test_fraction: float = 0.25,
    split_seed: int = 0,
    folder: str | Path | None = None,
    download: bool = True,
) -> Dataset:
    """Return the characters as vectors (dx, dy, pen), each drawing scaled by its larger side.

    Parameters
    ----------
    version : {1, 2}
        1: 62 characters of 11 writers, each drawn twice; the copy that is read has lost the aspect
        ratio. 2: the 10 digits of 60 writers, each drawn twice, in their own proportions.
    num_vectors : int
        T, vectors per sample, 1 to 1,000.
    test_fraction : float
        Share of the writers that are held out.
    split_seed : int
        Seed of the draw of the held-out writers; it is not the seed of the run.
    folder : path, optional
        A data folder to search before the usual ones.
    download : bool
        Whether a missing file may be downloaded.

    Raises
    ------
    ConfigError
        When a setting is out of range.
    DataError
        When the file is missing or has the wrong content.
    """
    require("data.version", version, version in (1, 2), "1 (62 characters) or 2 (digits)")
    checked("data.num_vectors", num_vectors, NumVectors)
    file, parse, class_names = (
        (VERSION_1_FILE, parse_version_1, CHARACTERS)
        if version == 1
        else (VERSION_2_FILE, parse_version_2, DIGITS)
    )
    content = read_source(file, folder=folder, download=download)
    drawings, y_N, writer_N = parse(content, name=file.path)
    samples = drawn_samples(drawings, y_N, writer_N, num_vectors=num_vectors)
    train, test = split_by_writer(samples, test_fraction=test_fraction, split_seed=split_seed)
    return Dataset(
        name="uji", train=train, test=test, class_names=tuple(class_names), kind="strokes"
    )


def parse_version_1(content: bytes, *, name: str) -> Parsed:
    """Return drawings (y upwards), labels and writers of the zip file, or raise a DataError."""
    return _parsed(_version_1(content), name)


def parse_version_2(content: bytes, *, name: str) -> Parsed:
    """Return drawings (y upwards), labels and writers of the JSON text, or raise a DataError."""
    return _parsed(_version_2(content), name)


def _parsed(samples: Iterator[tuple[list[FloatArray], int, int]], name: str) -> Parsed:
    try:
        found = list(samples)
    except (
        ValueError,
        KeyError,
        TypeError,
        OSError,
        EOFError,
        RecursionError,
        NotImplementedError,
        zipfile.BadZipFile,
    ) as error:
        raise DataError(f"{name} is corrupt: {error}") from error
    if not found:
        raise DataError(f"{name} holds no samples")
    drawings, labels, writers = zip(*found, strict=True)
    return list(drawings), np.array(labels, dtype=np.int64), np.array(writers, dtype=np.int64)


def _version_1(content: bytes) -> Iterator[tuple[list[FloatArray], int, int]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = sorted(
            (info for info in archive.infolist() if info.filename.endswith(".npz")),
            key=lambda info: info.filename,
        )
        for number, info in enumerate(members):
            # Named NNNNNN-L.npz. The letter L has lost case and zero, the number has not.
            if int(Path(info.filename).name[:6]) != number:
                raise ValueError(f"sample {number} is missing")
            if info.file_size > _MAX_MEMBER_BYTES:
                raise ValueError(f"{info.filename} is too large")
            with np.load(io.BytesIO(archive.read(info)), allow_pickle=False) as arrays:
                points = np.stack([arrays["coord_x"], arrays["coord_y"]], axis=1)
            session, position = divmod(number, len(_SESSION))
            label = CHARACTERS.index(_SESSION[position])
            yield _split_at_origin(points), label, session // _REPETITIONS


def _version_2(content: bytes) -> Iterator[tuple[list[FloatArray], int, int]]:
    by_digit: dict[str, Any] = json.loads(content)["rawData"]
    for label, digit in enumerate(DIGITS):
        for number, strokes in enumerate(by_digit[digit]):
            # The file's y grows downwards.
            drawing = [np.array(stroke, dtype=np.float64) * (1, -1) for stroke in strokes]
            yield drawing, label, number // _REPETITIONS


def _split_at_origin(points: FloatArray) -> list[FloatArray]:
    """Split at the points (0, 0), each of which ends a stroke and is no point of it."""
    ends = np.flatnonzero(~points.any(axis=1))
    if not len(ends) or ends[-1] != len(points) - 1:
        raise ValueError("a sample has no end")
    starts = np.concatenate([[0], ends[:-1] + 1])
    return [points[start:end] for start, end in zip(starts, ends, strict=True)]
