"""Measures of a trained generator: quality, bytes on the wire, quality after 8 bits.

Images are scored by a convolutional classifier and by the package's classifier; both scores are
kept.

N images, T rows, C columns.
"""

from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.papers.gan_distillation.image_classifier import ImageClassifier
from experiments.papers.gan_distillation.images import Images, load_images
from experiments.papers.gan_distillation.setting import Hyperparameters
from experiments.papers.gan_distillation.training import is_trained, load_network, networks
from flwr_gan.gan import sample
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.gan.weights import load_network_arrays, network_arrays
from flwr_gan.metrics import SampleJudge, laplacian_variance, psnr
from flwr_gan.seeding import derive_seed
from flwr_gan.wire import Template, decode_payload, encode_payload

if TYPE_CHECKING:
    from experiments.papers.gan_distillation.cases import Case

CODECS = {"sparse": "sparse", "int8": "sparse:int8"}
"""Codecs by the names of their columns."""
QUALITY = (
    "inception_score", "frechet_distance", "laplacian_variance", "precision", "recall", "coverage",
    "psnr_db", "mlp_inception_score", "mlp_frechet_distance",
)  # fmt: skip
BLANK = 0.02
"""Images are blank if the standard deviation of a pixel over them is less, on average."""
PERCEPTRON = ("inception_score", "frechet_distance")
"""Scores that are also taken from the package's judge, with the prefix ``mlp_``."""
AFTER_8_BITS = ("inception_score", "frechet_distance")
_SEED = derive_seed(0, "distillation study judge")


class Examiner:
    """Scores all generators with the same judges and the same latent vectors."""

    def __init__(self, images: Images) -> None:
        self._images = images

    def score(self, case: "Case", place: Path) -> dict[str, float]:
        """Return all measures of a training; ``psnr_db`` is relative to the teacher's images."""
        generator, _ = load_network(case, place)
        x_NTC = draw(generator, case.hyperparameters.judged_samples)
        arrays = network_arrays(generator)
        template = Template.of(arrays)
        row = (
            self._quality(x_NTC)
            | {"psnr_db": _nearness(x_NTC, case, place)}
            | {
                "blank": float(x_NTC.std(axis=0).mean() < BLANK),
                "parameters": sum(array.size for array in arrays.values()),
                "dense_bytes": sum(array.nbytes for array in arrays.values()),
            }
        )
        for name, codec in CODECS.items():
            payload = encode_payload(arrays, codec=codec, self_contained=False)
            row[f"{name}_bytes"] = len(payload)
        decoded, _ = networks(case)
        load_network_arrays(decoded, decode_payload(payload, template=template))
        after = self._judge.full_score(draw(decoded, len(x_NTC)), None, _SEED)
        return row | {f"int8_{name}": after[name] for name in AFTER_8_BITS}

    @cached_property
    def real(self) -> dict[str, float]:
        """Scores of real images unseen by judges and generators, and scores of the judges."""
        return self._quality(self._images.unseen.x_NTC) | {
            "judge_accuracy": self._judge.real_accuracy,
            "mlp_accuracy": self._perceptron.real_accuracy,
        }

    @cached_property
    def _judge(self) -> SampleJudge:
        return self._new_judge(ImageClassifier(self._images.train, seed=_SEED))

    @cached_property
    def _perceptron(self) -> SampleJudge:
        return self._new_judge(None)

    def _new_judge(self, classifier: ImageClassifier | None) -> SampleJudge:
        train, test = self._images.train, self._images.test
        return SampleJudge(
            train, test, num_classes=10, seed=_SEED, max_train=len(train), max_samples=len(test),
            classifier=classifier,
        )  # fmt: skip

    def _quality(self, x_NTC: NDArray[np.float32]) -> dict[str, float]:
        """Return the columns of ``QUALITY`` except the PSNR."""
        scores = self._judge.full_score(x_NTC, None, _SEED)
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
    """Return images for the first latent vectors of a sequence, the same for all networks."""
    rng = torch.Generator().manual_seed(derive_seed(0, "distillation study latents"))
    return sample(generator, np.zeros(count, dtype=np.int64), rng=rng, batch_size=250)
