"""Measures of the codec benchmark: weights, seconds, bounds, output change.

B batch, C channels, T steps of the stroke, L latent.
"""

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from experiments.benchmarks.output import processor_s
from flwr_gan.errors import OutputError
from flwr_gan.wire import load

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = dict[str, Array]

GENERATOR_SHAPES = {"fc": (2560, 103), "conv1": (128, 256, 3), "conv2": (3, 128, 3)}
GENERATOR_WEIGHTS = sum(map(math.prod, GENERATOR_SHAPES.values()))
NUM_CLASSES = 39
LATENT_DIM = 64

PUBLISHED_RATIOS = {
    "zlib": (
        1.08, 1.21, 1.43, 1.70, 2.05, 2.50, 3.08, 3.60, 4.16,
        4.79, 5.52, 6.31, 7.16, 8.11, 9.05, 9.96, 10.86, 11.85,
    ),
    "lzma": (
        1.08, 1.24, 1.49, 1.80, 2.19, 2.68, 3.33, 3.98, 4.68,
        5.49, 6.40, 7.46, 8.57, 9.83, 11.12, 12.43, 13.74, 15.17,
    ),
    "bz2": (
        1.05, 1.23, 1.48, 1.79, 2.17, 2.64, 3.27, 3.92, 4.63,
        5.41, 6.30, 7.32, 8.40, 9.56, 10.84, 12.02, 13.38, 14.72,
    ),
    "paq9a": (
        1.17, 1.33, 1.59, 1.91, 2.30, 2.79, 3.42, 4.06, 4.75,
        5.53, 6.40, 7.35, 8.36, 9.50, 10.64, 11.76, 12.88, 14.14,
    ),
}  # fmt: skip
"""Published compression ratios for P = 0 to 17 pruning iterations (paper 000, Table 2)."""


def read_weights(places: Sequence[str]) -> dict[str, Arrays]:
    """Return named sets of arrays from folders, ``.npy`` and ``.fgan`` files.

    ``places``: a folder means its files ``generator_*.npy``; without places, the environment
    variable ``FLWR_GAN_WEIGHTS`` names the folder.
    """
    chosen = list(places) or [os.environ.get("FLWR_GAN_WEIGHTS", "")]
    found: dict[str, Arrays] = {}
    for place in filter(None, chosen):
        path = Path(place)
        files = sorted(path.glob("generator_*.npy"), key=_by_number) if path.is_dir() else [path]
        for file in files:
            found[file.stem.removeprefix("generator_")] = _read_file(file)
    if not found:
        raise OutputError("no weights to measure; pass --weights or set FLWR_GAN_WEIGHTS")
    return found


def _by_number(path: Path) -> list[Any]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.stem)]


def _read_file(path: Path) -> Arrays:
    if path.suffix == ".fgan":
        return load(path)
    try:
        array: Array = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise OutputError(f"{path} cannot be read as .npy: {error}") from error
    return layers_of(array) if array.shape == (GENERATOR_WEIGHTS,) else {"w": array}


def layers_of(flat: Array) -> Arrays:
    """Return the layers of the generator, by name, from its flat weights."""
    sizes = [math.prod(shape) for shape in GENERATOR_SHAPES.values()]
    layers = zip(GENERATOR_SHAPES.items(), np.split(flat, np.cumsum(sizes)[:-1]), strict=True)
    return {name: layer.reshape(shape) for (name, shape), layer in layers}


def median_seconds(action: Callable[[], Any], *, repeats: int) -> float:
    """Return the median of the processor seconds of ``repeats`` calls, after one warm-up call.

    They equal wall time on an otherwise idle core. A single repeat has no warm-up, for codecs that
    are too slow to run twice.
    """
    if repeats > 1:
        action()
    return median(processor_s(action) for _ in range(repeats))


def order0_bound_bytes(arrays: Mapping[str, Array]) -> float:
    """Return H(mask) n + k (H(exponent) + 24) bits summed over float32 layers, in bytes; computed.

    n weights, k of them not zero. It is the lower bound for coding mask and exponents symbol by
    symbol, and signs and mantissas uncompressed.
    """
    bits = 0.0
    for array in arrays.values():
        if array.dtype != np.float32:
            bits += 8.0 * array.nbytes
            continue
        kept = array[array != 0]
        exponents = np.bincount(kept.view(np.uint32) >> 23 & 255)
        bits += array.size * _entropy(np.array([kept.size, array.size - kept.size]))
        bits += kept.size * (_entropy(exponents) + 24)
    return bits / 8


def _entropy(counts: Array) -> float:
    used = counts[counts > 0]
    return float((used * np.log2(used.sum() / used)).sum() / used.sum()) if used.size else 0.0


def generate(weights: Mapping[str, Array]) -> Array:
    """Return the measured generator's samples for 4,096 fixed latents and labels, (B, C, T)."""
    rng = np.random.default_rng(0)
    latent_BL = rng.standard_normal((4096, LATENT_DIM), dtype=np.float32)
    label_BK = np.eye(NUM_CLASSES, dtype=np.float32)[np.arange(4096) % NUM_CLASSES]
    hidden = np.maximum(np.concatenate([latent_BL, label_BK], 1) @ weights["fc"].T, 0)
    hidden = np.maximum(_convolve(hidden.reshape(4096, 256, 10), weights["conv1"]), 0)
    return np.tanh(_convolve(hidden, weights["conv2"]))


def _convolve(x_BCT: Array, kernel: Array) -> Array:
    samples, _, steps = x_BCT.shape
    padded = np.pad(x_BCT, ((0, 0), (0, 0), (1, 1)))
    windows = np.stack([padded[:, :, tap : tap + steps] for tap in range(3)], axis=2)
    # One product of large matrices, because many small ones are slow on shared cores.
    flat = windows.transpose(1, 2, 0, 3).reshape(-1, samples * steps)
    found: Array = kernel.reshape(len(kernel), -1) @ flat
    return found.reshape(len(kernel), samples, steps).transpose(1, 0, 2)


def output_change(wanted: Array, weights: Mapping[str, Array]) -> float:
    """Return ``rms(G' - G) / std(G)`` for the outputs ``wanted`` of G and the weights of G'."""
    got = generate(weights)
    rms = np.sqrt(np.mean((got - wanted) ** 2, dtype=np.float64))
    return float(rms / wanted.std(dtype=np.float64))


def is_generator(arrays: Mapping[str, Array]) -> bool:
    """Return whether ``generate`` supports these arrays."""
    return {name: array.shape for name, array in arrays.items()} == GENERATOR_SHAPES
