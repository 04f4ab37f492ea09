"""FID and KID: distances in the features of the Inception network, with local weights.

The network is the one of 2015 that FID is defined with, in the form and with the names of the file
that pytorch-fid, torchmetrics and torch-fidelity use. It is implemented here because torch-fidelity
unpickles the file and needs torchvision, which does not load with the CPU build of PyTorch.

N samples, H rows, W columns, C channels, D features
"""

import pickle
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from flwr_gan.errors import ConfigError, DataError
from flwr_gan.metrics.features import frechet_distance

WEIGHTS = "pt_inception-2015-12-05-6726825d.pth"
"""Name of the file in the releases of pytorch-fid; it is never downloaded."""
SIDE = 299
_BATCH = 32
_SUBSETS, _SUBSET = 100, 1000  # of KID, as in Binkowski et al.

State = Mapping[str, Tensor]


def inception_scores(
    real_NHW: NDArray[np.float32], fake_NHW: NDArray[np.float32], *, weights: str, seed: int
) -> dict[str, float]:
    """Return ``fid`` and ``kid`` of two sets of images, (N, H, W) or (N, H, W, 3) in [-1, 1].

    FID is the Frechet distance of the 2048 features of the last pooling layer (Heusel et al.,
    2017). KID is the unbiased squared MMD with the kernel (x.y / D + 1)^3, the mean over 100
    subsets of at most 1,000 images that ``seed`` draws (Binkowski et al., 2018). Grey images are
    used as equal red, green and blue. Both depend on the number of images, FID much more. Raises
    ConfigError as ``read_weights`` does, DataError for fewer than 2 images or other channels.
    """
    state = read_weights(weights)
    real, fake = (inception_features(state, as_bytes(x)) for x in (real_NHW, fake_NHW))
    rng, size = np.random.default_rng(seed), min(_SUBSET, len(real), len(fake))
    drawn = [
        _squared_mmd(*(part[rng.choice(len(part), size, replace=False)] for part in (real, fake)))
        for _ in range(_SUBSETS)
    ]
    return {"fid": frechet_distance(real, fake), "kid": float(np.mean(drawn))}


@lru_cache(maxsize=1)
def read_weights(path: str) -> State:
    """Return the weights of the network by name.

    Raises ConfigError if the file cannot be read or is not of this network. Code in it is never
    run.
    """
    try:
        state: State = torch.load(path, weights_only=True, map_location="cpu")
        inception_features(state, np.zeros((1, 3, 8, 8), np.uint8))
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, TypeError, KeyError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds other things"
        raise ConfigError(
            f"metrics.inception={path} cannot be read: {reason}; give {WEIGHTS} of pytorch-fid"
        ) from error
    return state


def as_bytes(x_NHW: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return images in [-1, 1] as (N, 3, H, W) from 0 to 255, the input of the network."""
    channels = x_NHW.shape[3:]
    if x_NHW.ndim not in (3, 4) or channels not in ((), (3,)) or len(x_NHW) < 2:
        raise DataError(
            f"FID of samples of shape {x_NHW.shape}: give 2 images or more, grey or in colour"
        )
    colours = x_NHW if channels else np.repeat(x_NHW[..., None], 3, axis=3)
    pixels = np.round((colours.clip(-1, 1) + 1) * 127.5).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def inception_features(state: State, pixels_NCHW: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return ``feature_ND``, D = 2048, of images (N, 3, H, W) from 0 to 255.

    Images are resized as TensorFlow 1 does, bilinearly with the first pixels on each other.
    """
    rows, columns = (_resizing(length) for length in pixels_NCHW.shape[2:])
    found = []
    with torch.no_grad():
        for start in range(0, len(pixels_NCHW), _BATCH):
            batch = torch.from_numpy(pixels_NCHW[start : start + _BATCH]).float()
            x = (rows @ batch @ columns.T - 128) / 128
            found.append(_network(state, x).mean(dim=(2, 3)))
    return torch.cat(found).double().numpy()


def _squared_mmd(a_ND: NDArray[np.float64], b_ND: NDArray[np.float64]) -> float:
    n, D = a_ND.shape
    aa, bb, ab = ((x @ y.T / D + 1) ** 3 for x, y in ((a_ND, a_ND), (b_ND, b_ND), (a_ND, b_ND)))
    within = aa.sum() - np.trace(aa) + bb.sum() - np.trace(bb)
    return float(within / (n * (n - 1)) - 2 * ab.mean())


def _resizing(length: int) -> Tensor:
    """Return the matrix that interpolates a row of pixels to ``SIDE`` values."""
    place = torch.arange(SIDE, dtype=torch.float64) * length / SIDE
    low = place.long()
    matrix = torch.zeros(SIDE, length, dtype=torch.float64)
    matrix[torch.arange(SIDE), low] += 1 - (place - low)
    matrix[torch.arange(SIDE), (low + 1).clamp(max=length - 1)] += place - low
    return matrix.float()


def _convolved(state: State, name: str, x: Tensor, *, stride: int = 1, pad: bool = True) -> Tensor:
    weight = state[f"{name}.conv.weight"]
    padding = [side // 2 if pad else 0 for side in weight.shape[2:]]
    keys = ("running_mean", "running_var", "weight", "bias")
    mean, variance, scale, shift = (state[f"{name}.bn.{key}"] for key in keys)
    x = functional.conv2d(x, weight, stride=stride, padding=padding)
    return functional.relu(functional.batch_norm(x, mean, variance, scale, shift, eps=1e-3))


def _network(state: State, x: Tensor) -> Tensor:
    def chain(x: Tensor, block: str, *names: str, shrinks: bool = False) -> Tensor:
        """Apply one convolution after the other; the last one halves the image if it shrinks."""
        for name in names:
            last = shrinks and name == names[-1]
            x = _convolved(state, f"{block}.{name}", x, stride=1 + last, pad=not last)
        return x

    def numbered(name: str, count: int) -> list[str]:
        return [f"{name}_{number}" for number in range(1, count + 1)]

    def average(x: Tensor) -> Tensor:
        return functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)

    x = _convolved(state, "Conv2d_1a_3x3", x, stride=2, pad=False)
    x = _convolved(state, "Conv2d_2a_3x3", x, pad=False)
    x = functional.max_pool2d(_convolved(state, "Conv2d_2b_3x3", x), 3, stride=2)
    x = _convolved(state, "Conv2d_3b_1x1", x)
    x = functional.max_pool2d(_convolved(state, "Conv2d_4a_3x3", x, pad=False), 3, stride=2)
    for block in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
        parts = [chain(x, block, "branch1x1"), chain(x, block, *numbered("branch5x5", 2))]
        parts.append(chain(x, block, *numbered("branch3x3dbl", 3)))
        x = torch.cat([*parts, chain(average(x), block, "branch_pool")], dim=1)
    parts = [chain(x, "Mixed_6a", "branch3x3", shrinks=True)]
    parts.append(chain(x, "Mixed_6a", *numbered("branch3x3dbl", 3), shrinks=True))
    x = torch.cat([*parts, functional.max_pool2d(x, 3, stride=2)], dim=1)
    for block in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
        parts = [chain(x, block, "branch1x1"), chain(x, block, *numbered("branch7x7", 3))]
        parts.append(chain(x, block, *numbered("branch7x7dbl", 5)))
        x = torch.cat([*parts, chain(average(x), block, "branch_pool")], dim=1)
    parts = [chain(x, "Mixed_7a", *numbered("branch3x3", 2), shrinks=True)]
    parts.append(chain(x, "Mixed_7a", *numbered("branch7x7x3", 4), shrinks=True))
    x = torch.cat([*parts, functional.max_pool2d(x, 3, stride=2)], dim=1)
    for block in ("Mixed_7b", "Mixed_7c"):
        wide = chain(x, block, "branch3x3_1")
        deep = chain(x, block, *numbered("branch3x3dbl", 2))
        parts = [chain(x, block, "branch1x1")]
        parts += [chain(wide, block, f"branch3x3_2{letter}") for letter in "ab"]
        parts += [chain(deep, block, f"branch3x3dbl_3{letter}") for letter in "ab"]
        # the network of FID's definition takes the maximum in its last block
        pooled = (
            average(x) if block == "Mixed_7b" else functional.max_pool2d(x, 3, stride=1, padding=1)
        )
        x = torch.cat([*parts, chain(pooled, block, "branch_pool")], dim=1)
    return x
