"""``huggingface``: pictures in a local data set of the library ``datasets``.

The hub is never accessed: the set is a folder of ``save_to_disk`` or of parquet files.
"""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flwr_gan.core.settings import Share, checked
from flwr_gan.data.dataset import Dataset, Samples, class_list, split_by_class, without_samples
from flwr_gan.data.pictures import image_shape, read_pictures
from flwr_gan.errors import ConfigError, DataError

OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
PARTS = ("train", "test")
_LABEL_NAMES = ("label", "labels")
_LABEL_TYPES = (
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "string", "large_string",
)  # fmt: skip


def load_huggingface(
    *,
    path: str | Path | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    size: int = 32,
    channels: int = 3,
    class_names: Sequence[str] | None = None,
    skip_broken: bool = False,
    test_fraction: float = 0.2,
    split_seed: int = 0,
) -> Dataset:
    """Return the pictures of a set on disk as images of ``size`` x ``size`` pixels in [-1, 1].

    A set with the splits ``train`` and ``test`` keeps them as its two parts; a set of one split is
    divided. Parquet files are these splits where the names of some begin with ``train`` and those
    of others with ``test``, and one split otherwise.

    Parameters
    ----------
    path : path, optional
        The folder. Without it the data set has no samples, for a server whose nodes have their own
        sets; then ``class_names`` is needed.
    image_column, label_column : str, optional
        Names of the columns. By default the only column of pictures, and the only one of the type
        ``ClassLabel``, or else the one called label or labels.
    size, channels : int
        As ``load_image_folder`` takes them.
    class_names : sequence of str, optional
        One name per class. By default those of ``ClassLabel``, the numbers from 0 to the largest
        label, or the words in the column in their order.
    skip_broken : bool
        Whether unreadable pictures are left out, with a warning that gives their number.
    test_fraction : float
        Share of each class that is held out of a set of one split.
    split_seed : int
        Seed of that split.

    Raises
    ------
    DataError
        When there is no such set, a column has the wrong form, a picture cannot be read, or there
        are too many.
    ConfigError
        When a setting is out of range or missing.
    """
    shape = image_shape(size, channels)
    checked("data.skip_broken", skip_broken, bool)
    checked("data.test_fraction", test_fraction, Share)
    if path is None:
        if class_names is None:
            raise ConfigError(
                "data.path=null: give the folder of a set, or data.class_names where the sets lie "
                "on the nodes"
            )
        return without_samples("huggingface", shape, class_names, "image")
    folder = Path(str(path)).expanduser()
    place = f"data.path={folder}"
    if not folder.is_dir():
        raise DataError(f"{place} is not a folder; name the folder of a set that is on disk")
    with tempfile.TemporaryDirectory(prefix="flwr_gan-") as scratch:
        splits = _splits(place, folder, scratch)
        parts = [splits[name] for name in PARTS] if len(splits) > 1 else list(splits.values())
        image = _image_column(place, parts[0], image_column)
        label = _label_column(place, parts[0], label_column)
        names = _class_names(place, parts, label, class_names)
        reading = {"size": size, "channels": channels, "skip_broken": skip_broken}
        samples = [_samples(place, part, image, label, names, **reading) for part in parts]
    if len(samples) == 1:
        samples = list(
            split_by_class(samples[0], test_fraction=test_fraction, split_seed=split_seed)
        )
    return Dataset(folder.resolve().name, samples[0], samples[1], tuple(names), "image")


def _splits(place: str, folder: Path, scratch: str) -> dict[str, Any]:
    """Return the sets in a folder by split: one, or ``train`` and ``test``."""
    for name in OFFLINE:  # read at import; no function that accesses the network is called
        os.environ.setdefault(name, "1")
    import datasets

    files = sorted(folder.glob("*.parquet"))
    named = {part: [str(f) for f in files if f.name.startswith(part)] for part in PARTS}
    if not all(named.values()):
        named = {"all": [str(file) for file in files]}
    shown = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        if files:
            return {
                part: datasets.Dataset.from_parquet(paths, cache_dir=scratch)
                for part, paths in named.items()
            }
        found = datasets.load_from_disk(str(folder))
    except Exception as error:  # the library's own errors, and those of arrow, json and files
        reason = " ".join(str(error.__cause__ or error).split("\n")[0].split()).rstrip(".")
        raise DataError(
            f"cannot read {place}: {reason}; a folder of save_to_disk or of .parquet files is "
            "expected"
        ) from error
    finally:
        if shown:
            datasets.enable_progress_bars()
    splits = dict(found) if isinstance(found, datasets.DatasetDict) else {"all": found}
    if len(splits) > 1 and not set(PARTS) <= set(splits):
        raise DataError(
            f"{place} has the splits {', '.join(splits)}, and not both train and test: give one of "
            f"them, such as data.path={folder / next(iter(splits))}"
        )
    return splits


def _image_column(place: str, part: Any, given: str | None) -> str:
    """Return the column of pictures: the named one, or the only one of that type."""
    fitting = [name for name, feature in part.features.items() if _holds_files(feature)]
    return _chosen(place, part, "image", given, fitting)


def _label_column(place: str, part: Any, given: str | None) -> str:
    from datasets import ClassLabel

    kinds = part.features
    labels = [name for name in kinds if str(getattr(kinds[name], "dtype", "")) in _LABEL_TYPES]
    classes = [name for name in labels if isinstance(kinds[name], ClassLabel)]
    if given is None and len(classes) != 1:
        classes = [name for name in labels if name in _LABEL_NAMES]
    return _chosen(place, part, "label", given, classes if given is None else labels)


def _holds_files(feature: Any) -> bool:
    """Return whether a column holds picture files: an ``Image``, bytes, or bytes with a path."""
    from datasets import Image

    kind = feature.get("bytes") if isinstance(feature, dict) else feature
    return isinstance(feature, Image) or getattr(kind, "dtype", None) in ("binary", "large_binary")


def _chosen(place: str, part: Any, what: str, given: str | None, fitting: list[str]) -> str:
    if given in fitting:
        return str(given)
    if given is None and len(fitting) == 1:
        return fitting[0]
    form = "pictures (Image or bytes)" if what == "image" else "classes (whole numbers or words)"
    problem = f"{given} holds no {form}"
    if given is None:
        problem = f"null: {len(fitting) or 'none'} of the columns may be the one of {form}"
    columns = ", ".join(
        f"{name} ({getattr(kind, '_type', None) or 'list or record'})"
        for name, kind in part.features.items()
    )
    raise DataError(f"{place}: data.{what}_column={problem}: give one of {columns}")


def _class_names(
    place: str, parts: list[Any], label: str, given: Sequence[str] | None
) -> list[str]:
    """Return one name per class, in the order of the labels."""
    if given is not None:
        return class_list(given)
    known = getattr(parts[0].features[label], "names", None)
    if known is not None:
        return list(map(str, known))
    values = set().union(*(part.unique(label) for part in parts)) - {None}
    if all(isinstance(value, str) for value in values):
        return sorted(values)
    most = max(values, default=-1)
    if not 0 <= most < 10_000:
        raise DataError(f"{place}: the largest label is {most}: labels are 0 to 9999 at most")
    return list(map(str, range(most + 1)))


def _samples(
    place: str,
    part: Any,
    image: str,
    label: str,
    names: list[str],
    **reading: Any,
) -> Samples:
    """Return the rows of a split as samples; settings of ``read_pictures`` are passed on."""
    from datasets import Image

    rows = part.select_columns([image, label]).with_format(None)
    if isinstance(part.features[image], Image):
        rows = rows.cast_column(image, Image(decode=False))

    def content(at: int) -> bytes:
        cell = rows[at][image]
        found = cell.get("bytes") if isinstance(cell, dict) else cell
        if not isinstance(found, bytes):
            raise DataError("the set holds no bytes of it")
        return found

    return read_pictures(
        place,
        [f"row {at}" for at in range(len(rows))],
        content,
        _labels(place, list(rows[label]), names),
        **reading,
    )


def _labels(place: str, values: list[Any], names: list[str]) -> NDArray[np.int64]:
    """Return labels as the positions of their names."""
    known: dict[Any, int] = {name: k for k, name in enumerate(names)}
    known |= {k: k for k in range(len(names))}
    unknown = [value for value in values if value not in known]
    if unknown:
        raise DataError(
            f"{place}: {len(unknown)} labels such as {unknown[0]!r} are none of the classes "
            f"{', '.join(names)}"
        )
    return np.array([known[value] for value in values], dtype=np.int64)
