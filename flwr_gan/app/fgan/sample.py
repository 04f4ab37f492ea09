"""``fgan sample``: samples of a trained generator as a picture or as arrays."""

# N samples, K classes, n samples per class, T vectors, C components

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from flwr_gan.app.fgan.convert import suffix_of, write_npz
from flwr_gan.app.generator_file import GeneratorInfo, generator_path, load_generator
from flwr_gan.errors import ConfigError
from flwr_gan.gan import sample, torch_threads
from flwr_gan.plots import sample_grid, save_figure
from flwr_gan.wire import DEFAULT_MAX_BYTES

SUFFIXES = (".png", ".npz")
MOST_IN_PICTURE = 64
"""Samples per class in a picture."""
_WIDTHS = range(8, 17)  # samples in a row of a picture


def write_samples(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    classes: Sequence[int] | None = None,
    count: int = 12,
    seed: int = 0,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> tuple[int, ...]:
    """Write `count` samples per class, by default of all classes; return the shape (N, T, C).

    A ``.png`` is a labelled grid. A ``.npz`` has ``x``, float32 (N, T, C) in [-1, 1], and ``y``,
    int64 (N,), the classes. The same generator and the same settings give the same samples.

    Raises ``ConfigError`` for a suffix, class or count that is not allowed, ``OutputError`` if the
    target cannot be written, and the errors of ``load_generator``.
    """
    target, file = Path(target), generator_path(source)
    suffix = suffix_of(target, SUFFIXES)
    if suffix == ".png" and count > MOST_IN_PICTURE:
        raise ConfigError(
            f"--count {count} is too many for a picture: give 1 to {MOST_IN_PICTURE}, or write .npz"
        )
    generator = load_generator(file, max_bytes=max_bytes)
    info = GeneratorInfo.beside(file)
    known = range(generator.num_classes)
    chosen = list(known if classes is None else classes)
    for k in chosen:
        if k not in known:
            raise ConfigError(f"--classes: there is no class {k}; allowed are 0 to {known[-1]}")
    per_sample = generator.latent_dim + math.prod(generator.sample_shape)
    if 4 * len(chosen) * count * per_sample > max_bytes:
        raise ConfigError(
            f"--count {count} of {len(chosen)} classes takes more than --max-bytes {max_bytes}: "
            "lower one or raise the other"
        )
    y_N = np.repeat(np.array(chosen, dtype=np.int64), count)
    with torch_threads(1):  # the number of threads changes the last bits of sums
        x_NTC = sample(generator, y_N, rng=torch.Generator().manual_seed(seed))
    if suffix == ".npz":
        write_npz(target, {"x": x_NTC, "y": y_N})
        return x_NTC.shape
    width = max((n for n in _WIDTHS if count % n == 0), default=count)
    rows = count // width
    names = [name for k in chosen for name in [info.classes[k], *[""] * (rows - 1)]]
    save_figure(sample_grid(x_NTC.reshape(-1, width, *x_NTC.shape[1:]), names, info.kind), target)
    return x_NTC.shape
