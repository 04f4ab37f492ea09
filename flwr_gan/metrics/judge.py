"""Scores of generated samples compared with held-out real ones.

N generated samples, T vectors, C components, K classes.
"""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from flwr_gan.data import Samples
from flwr_gan.errors import DataError
from flwr_gan.metrics.classifier import SampleClassifier, SmallClassifier
from flwr_gan.metrics.features import frechet_distance, precision_recall_density_coverage
from flwr_gan.metrics.measures import inception_score
from flwr_gan.seeding import derive_seed, numpy_rng


class SampleJudge:
    """Scores samples with a small classifier that was trained once on the real training split.

    All randomness comes from seeds: the same arguments give the same scores. At most ``max_train``
    real training samples are used, and ``max_samples`` of the test samples and of the generated
    ones of a call; ``neighbours`` is the k of precision, recall, density and coverage.
    ``classifier``, trained elsewhere, replaces the small one. Raises DataError for a split of fewer
    than 2 samples.
    """

    def __init__(
        self,
        train: Samples,
        test: Samples,
        *,
        num_classes: int,
        seed: int,
        max_train: int = 6000,
        max_samples: int = 2000,
        neighbours: int = 5,
        classifier: SampleClassifier | None = None,
    ) -> None:
        self._num_classes = num_classes
        self._max_samples = max_samples
        self._neighbours = neighbours
        self._seed = seed
        self._train = _subset(train.x_NTC, train.y_N, max_train, seed, "judge-train")
        self._test = _subset(test.x_NTC, test.y_N, max_samples, seed, "judge-test")
        self._classifier: SampleClassifier = classifier or SmallClassifier(
            *self._train, num_classes=num_classes, seed=derive_seed(seed, "judge")
        )
        self._test_features = self._classifier.features(self._test[0])

    @cached_property
    def real_accuracy(self) -> float:
        """Accuracy on the real test split of the classifier trained on the real training split.

        The value of ``synthetic_accuracy`` if generated samples were as good as real ones.
        """
        return self._classifier.accuracy(*self._test)

    @cached_property
    def real_scores(self) -> dict[str, float]:
        """The two accuracies of real samples that the judge was not trained on.

        ``conditional_accuracy`` is the judge's own on the test split; ``synthetic_accuracy`` is
        that of a classifier trained on as many real training samples as generated ones are used.
        Distances and shares have no such value: they would need a second set of unseen samples.
        """
        drawn = _subset(*self._train, self._max_samples, self._seed, "judge-samples")
        return {
            "conditional_accuracy": self.real_accuracy,
            "synthetic_accuracy": self._synthetic_accuracy(*drawn, self._seed),
        }

    def score(
        self, x_NTC: NDArray[np.float32], y_N: NDArray[np.int64] | None, seed: int
    ) -> dict[str, float]:
        """Score generated samples.

        ``y_N`` are the requested labels, None for a generator without classes: then there are no
        accuracies. Keys of the result:

        - ``frechet_distance``: in the last hidden layer of the classifier, so comparable only
          between runs with the same data and seed; it is not the FID.
        - ``precision``, ``recall``, ``density``, ``coverage``: in the same features.
        - ``conditional_accuracy``: share of samples that the classifier assigns to their label.
        - ``synthetic_accuracy``: accuracy on real test data of a classifier of the same kind that
          is trained only on the generated samples.

        Raises DataError for fewer than 2 samples or one that is not finite.
        """
        labels = np.zeros(len(x_NTC), dtype=np.int64) if y_N is None else y_N
        x, y = _subset(x_NTC, labels, self._max_samples, seed, "judge-samples")
        return self._distances(x) | ({} if y_N is None else self._accuracies(x, y, seed))

    def full_score(
        self, x_NTC: NDArray[np.float32], y_N: NDArray[np.int64] | None, seed: int
    ) -> dict[str, float]:
        """Score generated samples as ``score`` does, and add ``inception_score``.

        For a generator without classes, ``y_N`` is None and both accuracies are NaN.
        """
        labels = np.zeros(len(x_NTC), dtype=np.int64) if y_N is None else y_N
        x, y = _subset(x_NTC, labels, self._max_samples, seed, "judge-samples")
        scores = self._distances(x)
        scores["inception_score"] = inception_score(self._classifier.posteriors(x))
        if y_N is None:
            return scores | dict.fromkeys(("conditional_accuracy", "synthetic_accuracy"), np.nan)
        return scores | self._accuracies(x, y, seed)

    def compare(
        self,
        x_NTC: NDArray[np.float32],
        y_N: NDArray[np.int64] | None,
        real_NTC: NDArray[np.float32],
    ) -> dict[str, float]:
        """Score generated samples compared with given real ones.

        Returns ``frechet_distance`` and, with labels, ``conditional_accuracy`` as in ``score``; at
        least 2 samples each.
        """
        real, fake = self._classifier.features(real_NTC), self._classifier.features(x_NTC)
        found = {"frechet_distance": frechet_distance(real, fake)}
        return found | (
            {} if y_N is None else {"conditional_accuracy": self.recognised(x_NTC, y_N)}
        )

    def recognised(self, x_NTC: NDArray[np.float32], y_N: NDArray[np.int64]) -> float:
        """Return the share of generated samples that the classifier assigns to their label."""
        return self._classifier.accuracy(x_NTC, y_N)

    def _distances(self, x_NTC: NDArray[np.float32]) -> dict[str, float]:
        features = self._classifier.features(x_NTC)
        return {
            "frechet_distance": frechet_distance(self._test_features, features),
            **precision_recall_density_coverage(
                self._test_features, features, neighbours=self._neighbours
            ),
        }

    def _accuracies(
        self, x_NTC: NDArray[np.float32], y_N: NDArray[np.int64], seed: int
    ) -> dict[str, float]:
        return {
            "conditional_accuracy": self._classifier.accuracy(x_NTC, y_N),
            "synthetic_accuracy": self._synthetic_accuracy(x_NTC, y_N, seed),
        }

    def _synthetic_accuracy(
        self, x_NTC: NDArray[np.float32], y_N: NDArray[np.int64], seed: int
    ) -> float:
        """Return the accuracy on real test data of a classifier trained on some samples."""
        own = SmallClassifier(
            x_NTC, y_N, num_classes=self._num_classes, seed=derive_seed(seed, "judge-synthetic")
        )
        return own.accuracy(*self._test)


def _subset(
    x_NTC: NDArray[np.float32], y_N: NDArray[np.int64], most: int, seed: int, purpose: str
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Check samples; if there are more than ``most``, draw ``most`` of them in order."""
    count = len(x_NTC)
    if count < 2 or len(y_N) != count:
        raise DataError(f"{count} samples with {len(y_N)} labels: at least 2 of each are needed")
    broken = int(np.count_nonzero(~np.isfinite(x_NTC).reshape(count, -1).all(axis=1)))
    if broken:
        raise DataError(f"{broken} of {count} samples hold values that are not finite")
    if count <= most:
        return x_NTC, y_N
    chosen = np.sort(numpy_rng(seed, purpose).choice(count, most, replace=False))
    return x_NTC[chosen], y_N[chosen]
