"""The compressed generators: three kinds, their data, and the length of their training.

Each generator is trained once, saved as a file, and read by every entry.

N samples, T vectors, C components, K classes.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from experiments.papers.gan_distillation.images import enlarge
from experiments.study.results import write_json
from flwr_gan.app.config import build, load_config
from flwr_gan.data.dataset import Dataset, Kind, Samples
from flwr_gan.data.mnist import load_mnist
from flwr_gan.errors import ConfigError
from flwr_gan.gan import GanConfig, WganGpTrainer, build_networks, sample
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.gan.weights import load_network_arrays, network_arrays
from flwr_gan.methods import TrainedGan
from flwr_gan.metrics import SampleJudge
from flwr_gan.seeding import derive_seed
from flwr_gan.wire import load, save

NAMES = ("digits", "pendigits", "wdcgan")
IMAGE_BATCH = 64  # samples of 64 x 64 pixels are generated faster in small batches

_TRAIN_IMAGES, _TEST_IMAGES = 10_000, 2_000
_W_DCGAN = GanConfig(
    network="images", conditional=False, depth=8, latent_dim=100, batch_size=32,
    critic_iterations=3, critic_gradients="autograd", generator_lr=1e-3, critic_lr=1e-3,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Material:
    """One kind of generator with its data and budgets."""

    # its name for files, and its title for readers
    name: str
    title: str
    kind: Kind  # how a sample is plotted, {"image", "strokes"}
    gan: GanConfig  # networks and hyperparameters of adversarial training
    rate: float  # factor of both learning rates if a method trains a trained generator further
    base_iterations: int  # generator updates of the generator that is compressed
    iterations: int  # generator updates allowed to each method
    samples: int  # number of generated samples for the measures of quality
    # rough seconds of one update and of measuring one cell, for estimates of the remaining time
    update_s: float
    measure_s: float


def materials(names: tuple[str, ...] = NAMES, *, short: bool = False) -> list[Material]:
    """Return the chosen kinds of generator; ``short`` has little training and few samples."""
    for name in names:
        if name not in NAMES:
            raise ConfigError(f"--data {name}: allowed are {', '.join(NAMES)}")
    known = {
        "digits": Material(
            name="digits", title="digits, 8 × 8 pixels", kind="image",
            gan=load_config(["data=digits"]).gan, rate=0.5, base_iterations=500,
            iterations=300, samples=2000, update_s=0.009, measure_s=1.5,
        ),
        "pendigits": Material(
            name="pendigits", title="pendigits, strokes of 10 vectors", kind="strokes",
            gan=load_config(["data=pendigits"]).gan, rate=0.5,
            base_iterations=1500, iterations=300, samples=2000, update_s=0.015, measure_s=1.7,
        ),
        "wdcgan": Material(
            name="wdcgan", title="W-DCGAN, d = 8, MNIST at 64 × 64 pixels", kind="image",
            gan=_W_DCGAN, rate=0.5, base_iterations=600, iterations=120,
            samples=2000, update_s=0.18, measure_s=3.0,
        ),
    }  # fmt: skip
    chosen = [known[name] for name in names]
    return [_shortened(material) for material in chosen] if short else chosen


def _shortened(material: Material) -> Material:
    gan = replace(material.gan, depth=1, batch_size=8, critic_iterations=1)
    return replace(
        material, gan=gan, base_iterations=6, iterations=4, samples=100,
        measure_s=0.3, update_s=0.01,
    )  # fmt: skip


def load_data(material: Material) -> Dataset:
    """Return real samples; those of W-DCGAN are enlarged 28 x 28 images."""
    if material.gan.network == "vectors":
        dataset: Dataset = build(load_config([f"data={material.name}"]).data)
        return dataset
    mnist = load_mnist()
    parts = [
        Samples(enlarge(part.x_NTC[:count]), part.y_N[:count])
        for part, count in ((mnist.train, _TRAIN_IMAGES), (mnist.test, _TEST_IMAGES))
    ]
    return Dataset(material.name, parts[0], parts[1], mnist.class_names, "image")


def networks(material: Material, dataset: Dataset, seed: int) -> tuple[SampleGenerator, nn.Module]:
    """Return a generator and a critic with the initial weights of a seed."""
    return build_networks(
        material.gan, num_vectors=dataset.num_vectors, num_components=dataset.num_components,
        num_classes=dataset.num_classes, seed=seed,
    )  # fmt: skip


def further_config(material: Material) -> GanConfig:
    """Return the hyperparameters of a method's training: only the learning rates are lower."""
    gan, rate = material.gan, material.rate
    return replace(gan, generator_lr=rate * gan.generator_lr, critic_lr=rate * gan.critic_lr)


def training_labels(material: Material, dataset: Dataset) -> NDArray[np.int64]:
    """Return the training labels of a generator: all 0 if it is not conditioned on classes."""
    return dataset.train.y_N if material.gan.conditional else np.zeros_like(dataset.train.y_N)


class Sampler:
    """Samples any generator with the same latent vectors and labels, all classes equally often."""

    def __init__(self, material: Material, num_classes: int) -> None:
        asked = num_classes if material.gan.conditional else 1
        self.y_N = np.arange(material.samples, dtype=np.int64) % asked
        self._seed = derive_seed(0, "families: latent vectors")
        self._batch_size = IMAGE_BATCH if material.gan.network == "images" else 1024

    def __call__(self, generator: SampleGenerator) -> NDArray[np.float32]:
        """Return ``x_NTC``."""
        rng = torch.Generator().manual_seed(self._seed)
        return sample(generator, self.y_N, rng=rng, batch_size=self._batch_size)


def make_judge(material: Material, dataset: Dataset) -> SampleJudge:
    """Return the judge of all generators of a kind; it depends only on the data."""
    most = 10 * material.samples
    return SampleJudge(
        dataset.train, dataset.test, num_classes=dataset.num_classes, seed=0,
        max_train=min(6000, most), max_samples=min(2000, most),
    )  # fmt: skip


def base_folder(folder: Path, material: Material, seed: int) -> Path:
    """Return the folder of the generator of one kind and seed."""
    return folder / "bases" / f"{material.name}_seed{seed}"


def trained_gan(material: Material, dataset: Dataset, seed: int, folder: Path) -> TrainedGan:
    """Return the trained GAN of a seed, from its files; if they are missing, train and save it."""
    place = base_folder(folder, material, seed)
    record, settings = place / "training.json", base_settings(material)
    generator, critic = networks(material, dataset, seed)
    parts = (("generator.fgan", generator), ("critic.fgan", critic))
    y_N = training_labels(material, dataset)
    if record.exists():
        if json.loads(record.read_text())["settings"] != settings:
            raise ConfigError(f"{place} was trained with other settings: choose another --folder")
        for name, network in parts:
            load_network_arrays(network, load(place / name))
    else:
        WganGpTrainer(generator, critic, config=material.gan).train(
            dataset.train.x_NTC,
            y_N,
            iterations=material.base_iterations,
            rng=torch.Generator().manual_seed(derive_seed(seed, "families: first training")),
        )
        for name, network in parts:
            save(place / name, network_arrays(network), codec="raw")
        write_json({"settings": settings}, record)
    return TrainedGan(
        generator=generator, critic=critic, x_NTC=dataset.train.x_NTC, y_N=y_N,
        config=further_config(material),
    )  # fmt: skip


def base_settings(material: Material) -> dict[str, Any]:
    """Return the settings of a trained generator except the seed, as read back from JSON."""
    settings: dict[str, Any] = json.loads(json.dumps(asdict(material.gan)))
    return settings | {"base_iterations": material.base_iterations}
