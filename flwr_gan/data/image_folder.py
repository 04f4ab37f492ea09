"""``image_folder``: your own pictures, one sub-folder per class."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flwr_gan.core.settings import Share, checked
from flwr_gan.data.dataset import Dataset, class_list, split_by_class, without_samples
from flwr_gan.data.pictures import image_shape, read_pictures
from flwr_gan.errors import ConfigError, DataError

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def load_image_folder(
    *,
    root: str | Path | None = None,
    size: int = 32,
    channels: int = 3,
    class_names: Sequence[str] | None = None,
    skip_broken: bool = False,
    test_fraction: float = 0.2,
    split_seed: int = 0,
) -> Dataset:
    """Return the pictures below a folder as images of ``size`` x ``size`` pixels in [-1, 1].

    The classes are the sub-folders, in the order of their names, and so are the files in each.
    Files with other endings than those of ``ENDINGS``, and hidden ones, are no pictures.

    Parameters
    ----------
    root : path, optional
        The folder. Without it the data set has no samples, for a server whose nodes have their own
        folders; then ``class_names`` is needed.
    size : int
        S, rows and columns of an image, 4 to 512: the middle square of a picture is resized to it.
    channels : {1, 3}
        1: grey, samples of shape (S, S). 3: red, green and blue, (S, S, 3).
    class_names : sequence of str, optional
        The sub-folders that are classes, in the order of the labels; all of them by default. One
        that is missing is a class without samples.
    skip_broken : bool
        Whether unreadable pictures are left out, with a warning that gives their number.
    test_fraction : float
        Held-out share of each class, at least one sample if the class has two.
    split_seed : int
        Seed of that split.

    Raises
    ------
    DataError
        When the folder has another form, a picture cannot be read, or there are too many.
    ConfigError
        When a setting is out of range or missing.
    """
    shape = image_shape(size, channels)
    checked("data.skip_broken", skip_broken, bool)
    checked("data.test_fraction", test_fraction, Share)
    if root is None:
        if class_names is None:
            raise ConfigError(
                "data.root=null: give a folder with one sub-folder for each class, or "
                "data.class_names where the pictures lie on the nodes"
            )
        return without_samples("image_folder", shape, class_names, "image")
    folder = Path(str(root)).expanduser()
    place = f"data.root={folder}"
    if not folder.is_dir():
        raise DataError(f"{place} is not a folder; name one that exists")
    found = _class_folders(folder)
    names = sorted(found) if class_names is None else class_list(class_names)
    others = sorted(set(found) - set(names))
    if others or not found:
        known = ", ".join(others) if others else "no sub-folders"
        raise DataError(
            f"{place} holds {known}: one sub-folder for each class of {', '.join(names) or '...'} "
            "is expected"
        )
    files, labels = [], []
    for label, name in enumerate(names):
        pictures = _pictures(place, found[name]) if name in found else []
        files += pictures
        labels += [label] * len(pictures)
    samples = read_pictures(
        place,
        [str(file.relative_to(folder)) for file in files],
        files.__getitem__,
        np.array(labels, dtype=np.int64),
        size=size,
        channels=channels,
        skip_broken=skip_broken,
    )
    train, test = split_by_class(samples, test_fraction=test_fraction, split_seed=split_seed)
    return Dataset(folder.resolve().name, train, test, tuple(names), "image")


def _class_folders(folder: Path) -> dict[str, Path]:
    return {
        path.name: path
        for path in folder.iterdir()
        if path.is_dir() and not path.name.startswith(".")
    }


def _pictures(place: str, folder: Path) -> list[Path]:
    """Return the picture files of a class, sorted by name."""
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    deeper = [path.name for path in entries if path.is_dir()]
    if deeper:
        raise DataError(
            f"{place}: {folder.name} holds the folder {deeper[0]}, and a class holds files alone: "
            f"give the folder above the classes, such as {folder}"
        )
    pictures = [path for path in entries if path.suffix.lower() in ENDINGS]
    if not pictures:
        raise DataError(f"{place}: {folder.name} holds no picture: {', '.join(ENDINGS)} are read")
    return pictures
