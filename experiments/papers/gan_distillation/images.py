"""MNIST as images of 64 x 64 pixels in [-1, 1]."""

# N images, T rows, C columns

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from experiments.papers.gan_distillation.setting import Hyperparameters
from flwr_gan.data import Samples
from flwr_gan.data.mnist import load_mnist
from flwr_gan.errors import ConfigError
from flwr_gan.gan.dcgan import SIDE
from flwr_gan.seeding import numpy_rng


@dataclass(frozen=True, kw_only=True)
class Images:
    """The images of the study."""

    train: Samples  # training images of the GANs
    test: Samples  # held-out images, the reference of scores
    unseen: Samples  # as many others, to score real images that no network was trained on


@lru_cache(maxsize=1)
def load_images(hyperparameters: Hyperparameters) -> Images:
    """Return the number of images in the settings, always the same images."""
    dataset = load_mnist()
    wanted, there = hyperparameters.num_samples, len(dataset.train)
    if wanted > there:
        raise ConfigError(f"--samples {wanted}: there are {there} training images")
    judged = min(hyperparameters.judged_samples, len(dataset.test) // 2)
    return Images(
        train=_chosen(dataset.train, "train", 0, wanted),
        test=_chosen(dataset.test, "test", 0, judged),
        unseen=_chosen(dataset.test, "test", judged, 2 * judged),
    )


def enlarge(x_NTC: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return images of 64 x 64 pixels, by bilinear interpolation."""
    x_N1TC = torch.from_numpy(x_NTC)[:, None]
    large = interpolate(x_N1TC, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    found: NDArray[np.float32] = large[:, 0].numpy()
    return found


def _chosen(samples: Samples, part: str, start: int, stop: int) -> Samples:
    rows = numpy_rng(0, f"distillation study {part}").permutation(len(samples))[start:stop]
    chosen = samples.take(np.sort(rows))
    return Samples(enlarge(chosen.x_NTC), chosen.y_N)
