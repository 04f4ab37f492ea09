"""What is measured of a trained generator: quality, bytes on the wire, quality after 8 bits.

Images are scored by a convolutional classifier: on 4,096 raw pixels the package's multilayer
perceptron is sure of its class for ragged strokes too; both judges' scores are kept.

B batch, N images, T rows, C columns, D features.
"""

from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name that PyTorch code gives it
from numpy.typing import NDArray
from torch import Tensor, nn

from experiments.papers.gan_distillation.images import Images, load_images
from experiments.papers.gan_distillation.setting import Hyperparameters
from experiments.papers.gan_distillation.training import is_trained, load_network, networks
from flwr_gan.data import Samples
from flwr_gan.gan import sample
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.gan.weights import load_network_arrays, network_arrays
from flwr_gan.metrics import (
    SampleJudge,
    frechet_distance,
    inception_score,
    laplacian_variance,
    precision_recall_density_coverage,
    psnr,
)
from flwr_gan.seeding import derive_seed
from flwr_gan.wire import Template, decode_payload, encode_payload

if TYPE_CHECKING:
    from experiments.papers.gan_distillation.cases import Case

EPOCHS = 3
BATCH_SIZE = 64
NEIGHBOURS = 5
CODECS = {"sparse": "sparse", "int8": "sparse:int8"}
"""Codecs by the name of their columns."""
QUALITY = (
    "inception_score", "frechet_distance", "laplacian_variance", "precision", "recall", "coverage",
    "psnr_db", "mlp_inception_score", "mlp_frechet_distance",
)  # fmt: skip
PERCEPTRON = ("inception_score", "frechet_distance")
"""What is taken from the package's own judge too, with ``mlp_`` in front."""
AFTER_8_BITS = ("inception_score", "frechet_distance")
_SEED = derive_seed(0, "distillation study judge")


class Classifier(nn.Module):
    """Two convolutions and two dense layers on images at half of their resolution."""

    def __init__(self, *, num_classes: int = 10, seed: int) -> None:
        super().__init__()
        with torch.device("meta"):  # PyTorch's own initialisation draws from the global state
            self.convolutions = nn.ModuleList([nn.Conv2d(1, 16, 5), nn.Conv2d(16, 32, 5)])
            self.dense = nn.Linear(32 * 5 * 5, 64)
            self.last = nn.Linear(64, num_classes)
        self.to_empty(device="cpu")
        rng = torch.Generator().manual_seed(seed)
        for weight in self.parameters():
            with torch.no_grad():
                if weight.ndim == 1:
                    weight.zero_()
                else:
                    weight.normal_(0.0, (2 / weight[0].numel()) ** 0.5, generator=rng)

    def features(self, x_BTC: Tensor) -> Tensor:
        """Return ``feature_BD``, the 64 units of the last hidden layer."""
        h = F.avg_pool2d(x_BTC[:, None], 2)
        for layer in self.convolutions:
            h = F.max_pool2d(F.relu(layer(h)), 2)
        return F.relu(self.dense(h.flatten(1)))

    def forward(self, x_BTC: Tensor) -> Tensor:
        """Return ``logit_BK``."""
        logit_BK: Tensor = self.last(self.features(x_BTC))
        return logit_BK


class ConvolutionalJudge:
    """Scores images by a classifier that is trained once on real images, always the same."""

    def __init__(self, train: Samples, test: Samples, *, seed: int) -> None:
        self._classifier = _trained(train, seed)
        self._test_features, posteriors = self._look(test.x_NTC)
        self.accuracy = float(np.mean(posteriors.argmax(axis=1) == test.y_N))

    def score(self, x_NTC: NDArray[np.float32]) -> dict[str, float]:
        """Return inception-type score, Frechet distance, precision, recall, density, coverage."""
        features, posteriors = self._look(x_NTC)
        return {
            "inception_score": inception_score(posteriors),
            "frechet_distance": frechet_distance(self._test_features, features),
            **precision_recall_density_coverage(
                self._test_features, features, neighbours=NEIGHBOURS
            ),
        }

    @torch.no_grad()
    def _look(self, x_NTC: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return features and class probabilities."""
        features, posteriors = [], []
        for x_BTC in torch.split(torch.from_numpy(x_NTC), 500):
            h = self._classifier.features(x_BTC)
            features.append(h.numpy().astype(np.float64))
            posteriors.append(torch.softmax(self._classifier.last(h).double(), dim=1).numpy())
        return np.concatenate(features), np.concatenate(posteriors)


def _trained(samples: Samples, seed: int) -> Classifier:
    classifier = Classifier(seed=derive_seed(seed, "judge weights"))
    adam = torch.optim.Adam(classifier.parameters(), lr=1e-3)
    rng = torch.Generator().manual_seed(derive_seed(seed, "judge batches"))
    x_NTC, y_N = torch.from_numpy(samples.x_NTC), torch.from_numpy(samples.y_N)
    for _ in range(EPOCHS):
        for index_B in torch.split(torch.randperm(len(y_N), generator=rng), BATCH_SIZE):
            adam.zero_grad()
            torch.autograd.backward(F.cross_entropy(classifier(x_NTC[index_B]), y_N[index_B]))
            adam.step()
    return classifier.requires_grad_(False)


class Examiner:
    """Scores generators with the same judges and the same latent vectors for all."""

    def __init__(self, images: Images) -> None:
        self._images = images

    def score(self, case: "Case", place: Path) -> dict[str, float]:
        """Return all that is measured of a training; ``psnr_db`` is to the teacher's images."""
        generator, _ = load_network(case, place)
        x_NTC = draw(generator, case.hyperparameters.judged_samples)
        arrays = network_arrays(generator)
        template = Template.of(arrays)
        row = (
            self._quality(x_NTC)
            | {"psnr_db": _nearness(x_NTC, case, place)}
            | {
                "parameters": sum(array.size for array in arrays.values()),
                "dense_bytes": sum(array.nbytes for array in arrays.values()),
            }
        )
        for name, codec in CODECS.items():
            payload = encode_payload(arrays, codec=codec, self_contained=False)
            row[f"{name}_bytes"] = len(payload)
        decoded, _ = networks(case)
        load_network_arrays(decoded, decode_payload(payload, template=template))
        after = self._judge.score(draw(decoded, len(x_NTC)))
        return row | {f"int8_{name}": after[name] for name in AFTER_8_BITS}

    @cached_property
    def real(self) -> dict[str, float]:
        """Scores of real training images, taken as if they were generated, and of the judges."""
        count = len(self._images.test)
        scores = self._quality(self._images.train.x_NTC[:count])
        accuracies = {
            "judge_accuracy": self._judge.accuracy,
            "mlp_accuracy": self._perceptron.real_accuracy,
        }
        return scores | accuracies

    @cached_property
    def _judge(self) -> ConvolutionalJudge:
        return ConvolutionalJudge(self._images.train, self._images.test, seed=_SEED)

    @cached_property
    def _perceptron(self) -> SampleJudge:
        train, test = self._images.train, self._images.test
        return SampleJudge(
            train, test, num_classes=10, seed=_SEED, max_train=len(train), max_samples=len(test)
        )

    def _quality(self, x_NTC: NDArray[np.float32]) -> dict[str, float]:
        """Return the columns of ``QUALITY`` but for the PSNR."""
        scores = self._judge.score(x_NTC)
        scores["laplacian_variance"] = laplacian_variance(x_NTC)
        others = self._perceptron.full_score(x_NTC, None, _SEED)
        scores |= {f"mlp_{name}": others[name] for name in PERCEPTRON}
        return {name: scores[name] for name in QUALITY if name in scores}


@lru_cache(maxsize=1)
def examiner(hyperparameters: Hyperparameters) -> Examiner:
    """Return the judge of all trainings with the same images."""
    return Examiner(load_images(hyperparameters))


def _nearness(x_NTC: NDArray[np.float32], case: "Case", place: Path) -> float:
    """Return the PSNR to the teacher; NaN without one, and for the teacher itself."""
    beside = place.parent / case.teacher.name
    if case.role == "teacher" or not is_trained(beside):
        return float("nan")
    return psnr(x_NTC, _teacher_images(case.teacher, beside, len(x_NTC)))


@lru_cache(maxsize=1)
def _teacher_images(teacher: "Case", place: Path, count: int) -> NDArray[np.float32]:
    generator, _ = load_network(teacher, place)
    return draw(generator, count)


def draw(generator: SampleGenerator, count: int) -> NDArray[np.float32]:
    """Return images for the first of a fixed row of latent vectors, the same for every network."""
    rng = torch.Generator().manual_seed(derive_seed(0, "distillation study latents"))
    return sample(generator, np.zeros(count, dtype=np.int64), rng=rng, batch_size=250)
