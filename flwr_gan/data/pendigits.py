"""``pendigits``: pen-based handwritten digits of 44 writers (Alpaydin and Alimoglu 1998).

Read from the full trajectories (UNIPEN text), not from the 8 points that most copies hold.
"""

import re
from pathlib import Path

import numpy as np

from flwr_gan.core.settings import checked
from flwr_gan.data.dataset import Dataset
from flwr_gan.data.drawing import FloatArray, NumVectors, drawn_samples
from flwr_gan.data.sources import SourceFile, read_source
from flwr_gan.errors import DataError

_HOME = (
    "https://raw.githubusercontent.com/choucavalier/pendigits-hmm/"
    "03382e1457941714439d40b67e53eaf117fe4d08/data"
)
FILES = {
    "train": SourceFile(
        path="pendigits/pendigits-train",
        num_bytes=3_641_673,
        sha256="a66225d68d7d68591e62944df1ad33b3f5aa608e2df2505844b41f5568a80da4",
        urls=(f"{_HOME}/pendigits-train",),
    ),
    "test": SourceFile(
        path="pendigits/pendigits-test",
        num_bytes=1_661_044,
        sha256="ddb1c19e277a56c7ffe682cc024d6ab73696f9adcc1643ef9ed5aa753007e081",
        urls=(f"{_HOME}/pendigits-test",),
    ),
}

_SEGMENT = re.compile(
    rb'\.SEGMENT DIGIT\s+(?P<first>\d+)(?:-(?P<last>\d+))? \? "(?P<digit>\d)"\s+'
    rb"\.COMMENT (?P=digit)\s+(?P<writer>\d+)"
)


def load_pendigits(
    *, num_vectors: int = 10, folder: str | Path | None = None, download: bool = True
) -> Dataset:
    """Return the pen digits as vectors (dx, dy, pen), each drawing scaled by its larger side.

    The 30 writers of the training part and the 14 of the test part are different people; the latter
    have the numbers from 30 on.

    Parameters
    ----------
    num_vectors : int
        T, vectors per sample, 1 to 1,000.
    folder : path, optional
        A data folder to search before the usual ones.
    download : bool
        Whether missing files may be downloaded.

    Raises
    ------
    DataError
        When files are missing or have the wrong content.
    ConfigError
        When `num_vectors` is out of range.
    """
    checked("data.num_vectors", num_vectors, NumVectors)
    parts = {}
    first_writer = 0
    for part, file in FILES.items():
        content = read_source(file, folder=folder, download=download)
        drawings, y_N, raw_writer_N = parse_unipen(content, name=file.path)
        writers, writer_N = np.unique(raw_writer_N, return_inverse=True)
        writer_N = writer_N.astype(np.int64) + first_writer
        parts[part] = drawn_samples(drawings, y_N, writer_N, num_vectors=num_vectors)
        # Each file has its own numbering of writers.
        first_writer += len(writers)
    return Dataset(
        name="pendigits",
        train=parts["train"],
        test=parts["test"],
        class_names=tuple("0123456789"),
        kind="strokes",
    )


def parse_unipen(
    content: bytes, *, name: str
) -> tuple[list[list[FloatArray]], np.ndarray, np.ndarray]:
    """Return drawings (y upwards), labels and writers of a UNIPEN text, or raise a DataError."""
    _, *chunks = content.split(b".PEN_DOWN")
    try:
        strokes = [_parse_points(chunk) for chunk in chunks]
    except ValueError as error:
        raise DataError(f"{name} is corrupt: a stroke holds no list of points") from error
    drawings: list[list[FloatArray]] = []
    labels, writers = [], []
    num_used = 0
    for segment in _SEGMENT.finditer(content):
        first = int(segment["first"])
        last = int(segment["last"] or first)
        if first != num_used or not first <= last < len(strokes):
            raise DataError(f"{name} is corrupt: strokes of sample {len(drawings)} are missing")
        num_used = last + 1
        drawings.append(strokes[first:num_used])
        labels.append(int(segment["digit"]))
        writers.append(int(segment["writer"]))
    if not drawings or num_used != len(strokes):
        raise DataError(f"{name} is truncated or no UNIPEN text of digits")
    return drawings, np.array(labels, dtype=np.int64), np.array(writers, dtype=np.int64)


def _parse_points(chunk: bytes) -> FloatArray:
    numbers, pen_up, _ = chunk.partition(b".PEN_UP")
    if not pen_up:
        raise ValueError("a stroke has no end")
    points = np.array(numbers.split(), dtype="S16").astype(np.float64).reshape(-1, 2)
    if not len(points):
        raise ValueError("a stroke has no points")
    return points
