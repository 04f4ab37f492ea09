"""Small sets of pictures on disk, as people have them."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def pictures(count: int, *, width: int = 9, height: int = 7) -> list[Image.Image]:
    """Return pictures of noise in colour; the same ones at each call."""
    rng = np.random.default_rng(0)
    shape = (count, height, width, 3)
    return [Image.fromarray(pixels) for pixels in rng.integers(0, 256, shape, dtype=np.uint8)]


def encoded(picture: Image.Image, ending: str = "png") -> bytes:
    """Return a picture as the bytes of a file."""
    file = io.BytesIO()
    picture.save(file, ending)
    return file.getvalue()


def image_folder(root: Path, classes: Sequence[str] = ("b", "a"), per_class: int = 5) -> Path:
    """Write a folder with one sub-folder for each class; return it."""
    made = iter(pictures(len(classes) * per_class))
    for name in classes:
        (root / name).mkdir(parents=True)
        for number in reversed(range(per_class)):
            next(made).save(root / name / f"{number}.png")
    return root


def saved_set(path: Path, count: int = 20) -> Path:
    """Write a set of the library ``datasets`` of one split; return its folder."""
    hugging(count).save_to_disk(path)
    return path


def hugging(count: int = 20):
    """Return a set of pictures, classes and numbers."""
    import datasets

    datasets.disable_progress_bars()
    columns = {
        "img": datasets.Image(),
        "fine": datasets.ClassLabel(names=["cat", "dog"]),
        "number": datasets.Value("int64"),
    }
    rows = {
        "img": pictures(count),
        "fine": [at % 2 for at in range(count)],
        "number": list(range(count)),
    }
    return datasets.Dataset.from_dict(rows, features=datasets.Features(columns))
