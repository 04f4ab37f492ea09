"""``fgan compare``: a comparison of two generators in figures and in one picture."""

# N samples, K classes, n samples per class, T vectors, C components

import os
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from omegaconf import DictConfig, ListConfig

from flwr_gan.app.config import build, load_config, load_file
from flwr_gan.app.fgan.convert import suffix_of
from flwr_gan.app.fgan.report import aligned
from flwr_gan.app.generator_file import GeneratorInfo, generator_path, load_generator
from flwr_gan.app.measuring import measuring_threads
from flwr_gan.app.overrides import config_dir, split_overrides
from flwr_gan.data import Dataset
from flwr_gan.data.drawing import rasterised
from flwr_gan.errors import ConfigError, DataError
from flwr_gan.gan import network_arrays, sample
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.metrics import SampleJudge, drawing_agreement
from flwr_gan.plots import sample_grid, save_figure
from flwr_gan.seeding import derive_seed
from flwr_gan.wire import DEFAULT_MAX_BYTES

JUDGED = 100
"""Scored samples per class."""
SHOWN = 12
"""Samples per class in the picture."""
_LETTERS = ("A", "B")


def compare(
    first: str | os.PathLike[str],
    second: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    data: str | None = None,
    seed: int = 0,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> list[str]:
    """Draw samples of two generators for the same latent vectors; return lines with figures.

    `data` names the data set for measuring quality, as overrides such as ``pendigits`` or ``arrays
    data.path=x.npz``; by default it is that of the runs' ``config.yaml``, if it belongs to this
    package and its files are available.

    Raises ``ConfigError`` for a target that is no ``.png``, generators of different data, or `data`
    that cannot be used, ``OutputError`` if the target cannot be written, and the errors of
    ``load_generator``.
    """
    target = Path(target)
    suffix_of(target, (".png",))
    files = [generator_path(path) for path in (first, second)]
    generators = [load_generator(file, max_bytes=max_bytes) for file in files]
    infos = [GeneratorInfo.beside(file) for file in files]
    forms = [_form(*both) for both in zip(generators, infos, strict=True)]
    if forms[0] != forms[1]:
        raise ConfigError(f"A makes {forms[0]}, B {forms[1]}: give generators of the same data")
    classes, kind = infos[0].classes, infos[0].kind
    rows = [("", *_LETTERS), ("file", *map(str, files))]
    rows += zip(("bytes", "weights", "not zero"), *map(_sizes, files, generators), strict=True)
    try:
        dataset = _dataset(files, data)
        rows += _quality(generators, dataset, seed)
        remarks = []
    except (ConfigError, DataError) as error:
        if data is not None:
            raise
        remarks = [f"quality was not measured: {' '.join(str(error).split())}"]
    lengths = [generator.latent_dim for generator in generators]
    if lengths[0] != lengths[1]:
        remarks.append(
            f"latent vectors have {lengths[0]} and {lengths[1]} numbers, so A and B are drawn from "
            "different ones"
        )
    x_KnTC = [
        x_NTC.reshape(len(classes), SHOWN, *x_NTC.shape[1:])
        for x_NTC in (_drawn(generator, SHOWN, seed) for generator in generators)
    ]
    if lengths[0] == lengths[1]:
        drawings = [x.reshape(-1, *x.shape[2:]) for x in x_KnTC]
        if kind == "strokes":
            drawings = [rasterised(x_NTC) for x_NTC in drawings]
        agreement = drawing_agreement(drawings[1], drawings[0])
        for measure, value in zip(("pixel accuracy", "IoU"), agreement, strict=True):
            rows.append((f"{measure} to A", "", f"{value:.3f}"))
    names = [f"{name} {letter}" for name in classes for letter in _LETTERS]
    pairs = np.stack(x_KnTC, axis=1)  # per class a row of A, and below it a row of B
    save_figure(sample_grid(pairs.reshape(-1, *pairs.shape[2:]), names, kind), target)
    return [*aligned(rows), *remarks]


def _form(generator: SampleGenerator, info: GeneratorInfo) -> str:
    shape = " x ".join(map(str, generator.sample_shape))
    return f"{info.kind} of {shape} in the classes {' '.join(info.classes)}"


def _sizes(file: Path, generator: SampleGenerator) -> tuple[str, str, str]:
    arrays = network_arrays(generator).values()
    size, nonzero = (sum(map(count, arrays)) for count in (np.size, np.count_nonzero))
    return f"{file.stat().st_size:,}", f"{size:,}", f"{100 * nonzero / size:.1f} %"


def _drawn(generator: SampleGenerator, count: int, seed: int) -> NDArray[np.float32]:
    y_N = np.repeat(np.arange(generator.num_classes), count)
    with measuring_threads(1):
        return sample(generator, y_N, rng=torch.Generator().manual_seed(seed))


def _quality(
    generators: Sequence[SampleGenerator], dataset: Dataset, seed: int
) -> list[tuple[str, ...]]:
    """Return one row per measure. Raises DataError if the data do not fit the generators."""
    if not len(dataset.train):
        raise DataError(f"the data set {dataset.name} has no samples here; give --data")
    made = generators[0]
    conditional = made.num_classes > 1
    known = dataset.num_classes if conditional else 1
    sizes = (*dataset.train.x_NTC.shape[1:], known), (*made.sample_shape, made.num_classes)
    if sizes[0] != sizes[1]:
        raise DataError(
            f"samples and classes of the data set {dataset.name} are {sizes[0]}, and those of the "
            f"generators {sizes[1]}; give the --data that they were trained with"
        )
    with measuring_threads(1):
        judge = SampleJudge(
            dataset.train,
            dataset.test,
            num_classes=dataset.num_classes,
            seed=derive_seed(seed, "judge"),
        )
        count = JUDGED * dataset.num_classes // known
        y_N = np.repeat(np.arange(made.num_classes), count) if conditional else None
        scores = [judge.score(_drawn(g, count, seed), y_N, seed=seed) for g in generators]
    rows = [
        (name.replace("_", " "), *(f"{score[name]:.3f}" for score in scores)) for name in scores[0]
    ]
    return [("data", dataset.name, dataset.name), *rows]


def _dataset(files: Sequence[Path], data: str | None) -> Dataset:
    """Return the requested data set, or the one named by the runs of the files."""
    if data is not None:
        name, *settings = split_overrides(data) or [""]
        return cast(Dataset, build(load_config([f"data={name}", *settings]).data))
    nodes = [_named_data(file) for file in files]
    if nodes[0] != nodes[1]:
        raise ConfigError("the runs of A and B have different data; give --data")
    return cast(Dataset, build(nodes[0]))


def _named_data(file: Path) -> DictConfig:
    """Return the data settings of a file's run.

    A foreign file could name any function of any package, so only data sets of this package are
    loaded. Raises ConfigError.
    """
    path = file.absolute().parent.parent / "config.yaml"
    if not path.is_file():
        raise ConfigError(f"there is no {path}; give --data")
    node = load_file(path).data
    ours = [yaml.safe_load(p.read_text())["_target_"] for p in config_dir().glob("data/*.yaml")]
    if node.get("_target_") not in ours or not all(map(_is_plain, node.values())):
        raise ConfigError(
            f"{path} names data of another package, data._target_={node.get('_target_')}; "
            "give --data"
        )
    return node


def _is_plain(value: object) -> bool:
    """Return whether a setting is a number, a word, or a list of these: nothing to build."""
    if isinstance(value, ListConfig):
        return all(map(_is_plain, value))
    return not isinstance(value, DictConfig)
