"""The data of a kind of GAN, its networks, and the judge of its samples."""

# N samples, T vectors or rows, C components or columns, D features

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import avg_pool2d

from experiments.papers.gan_distillation.images import enlarge
from experiments.papers.rg_gan.setting import Family
from flwr_gan.data import Samples
from flwr_gan.data.mnist import load_mnist
from flwr_gan.data.pendigits import load_pendigits
from flwr_gan.errors import ConfigError
from flwr_gan.gan import build_networks
from flwr_gan.gan.augment import Augmentation, ImageAugmentation, StrokeAugmentation
from flwr_gan.gan.dcgan import SIDE
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.metrics import frechet_distance, precision_recall_density_coverage
from flwr_gan.metrics.classifier import SmallClassifier
from flwr_gan.seeding import derive_seed, numpy_rng

if TYPE_CHECKING:
    from experiments.papers.rg_gan.cases import Case

_NUM_CLASSES = 10
_JUDGE_SAMPLES = 6000
_NEIGHBOURS = 5


@dataclass(frozen=True, kw_only=True)
class Material:
    """Real samples of a kind of GAN, and the judge of generated ones."""

    # test samples are only for final scores
    train: Samples
    test: Samples
    labelled: bool  # whether the generator is conditioned on classes
    # trained on training samples; its features replace those of the Inception network
    judge: SmallClassifier
    augment: Augmentation  # differentiable augmentation

    def features(self, x_NTC: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return ``feature_ND`` of samples."""
        return self.judge.features(_seen(x_NTC))

    def final_scores(self, x_NTC: NDArray[np.float32]) -> dict[str, float]:
        """Compare generated samples with at most as many test samples."""
        real_ND = self.features(self.test.x_NTC[: len(x_NTC)])
        fake_ND = self.features(x_NTC)
        near = precision_recall_density_coverage(real_ND, fake_ND, neighbours=_NEIGHBOURS)
        return {
            "frechet_distance": frechet_distance(real_ND, fake_ND),
            **{name: near[name] for name in ("precision", "recall", "coverage")},
        }


@lru_cache(maxsize=3)
def load_material(name: str, family: Family) -> Material:
    """Load the data and train the judge; the result is always the same."""
    dataset = load_pendigits() if name == "strokes" else load_mnist()
    if family.num_samples > len(dataset.train):
        raise ConfigError(
            f"num_samples={family.num_samples}: there are {len(dataset.train)} in the training part"
        )
    train, test = (
        Samples(_formed(part.x_NTC, name), part.y_N)
        for part in (
            _chosen(dataset.train, family.num_samples, "train"),
            _chosen(dataset.test, family.judged_samples, "test"),
        )
    )
    judge = SmallClassifier(
        _seen(train.x_NTC[:_JUDGE_SAMPLES]),
        train.y_N[:_JUDGE_SAMPLES],
        num_classes=_NUM_CLASSES,
        seed=derive_seed(0, "rg-gan judge"),
    )
    return Material(
        train=train, test=test, labelled=name == "strokes", judge=judge,
        augment=StrokeAugmentation() if name == "strokes" else ImageAugmentation(),
    )  # fmt: skip


def case_samples(case: "Case", material: Material) -> Samples:
    """Return the training samples of a case; smaller sets are subsets of larger ones."""
    order_N = numpy_rng(case.seed, "rg-gan samples").permutation(len(material.train))
    part = material.train.take(order_N[: case.samples])
    return part if material.labelled else Samples(part.x_NTC, np.zeros_like(part.y_N))


def networks(case: "Case", material: Material) -> tuple[SampleGenerator, nn.Module]:
    """Return generator and critic with the initial weights of the case's seed."""
    settings, seed = case.family_settings, derive_seed(case.seed, "rg-gan networks")
    _, num_vectors, num_components = material.train.x_NTC.shape
    return build_networks(
        settings.gan, num_vectors=num_vectors, num_components=num_components,
        num_classes=_NUM_CLASSES, seed=seed,
    )  # fmt: skip


def _formed(x_NTC: NDArray[np.float32], family: str) -> NDArray[np.float32]:
    if family == "strokes":
        return x_NTC
    if family == "wdcgan":
        return enlarge(x_NTC)
    return np.pad(x_NTC, ((0, 0), (2, 2), (2, 2)), constant_values=-1)  # 32 x 32 pixels


def _seen(x_NTC: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return samples as the judge sees them: large images at half size."""
    if x_NTC.shape[1] < SIDE:
        return x_NTC
    half: NDArray[np.float32] = avg_pool2d(torch.from_numpy(x_NTC)[:, None], 2)[:, 0].numpy()
    return half


def _chosen(samples: Samples, count: int, part: str) -> Samples:
    rows = numpy_rng(0, f"rg-gan {part}").permutation(len(samples))[:count]
    return samples.take(rows)
