"""A small classifier that serves as judge.

N samples, T vectors, C components, D features, K classes.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

HIDDEN = (128, 64)
BATCH_SIZE = 64
STEPS = 1000
EPOCHS = (20, 200)


class SampleClassifier(Protocol):
    """The interface of a trained classifier for a judge."""

    def accuracy(self, x_NTC: NDArray[np.float32], y_N: NDArray[np.int64]) -> float:
        """Return the share of samples that are taken for their label."""

    def posteriors(self, x_NTC: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return ``posterior_NK``, the probability of each class for each sample."""

    def features(self, x_NTC: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return ``feature_ND`` of a hidden layer."""


class SmallClassifier:
    """A multilayer perceptron with hidden layers of 128 and 64 units, trained on construction.

    It takes about 1,000 steps of Adam, but at least 20 and at most 200 epochs. The same data and
    seed give the same classifier on one machine. Labels are 0 ... num_classes - 1, and classes may
    be missing.
    """

    def __init__(
        self, x_NTC: NDArray[np.float32], y_N: NDArray[np.int64], *, num_classes: int, seed: int
    ) -> None:
        from sklearn.neural_network import MLPClassifier  # not needed by clients that only train

        count = len(x_NTC)
        self._network = MLPClassifier(
            HIDDEN, batch_size=min(BATCH_SIZE, count), random_state=seed % 2**32
        )
        classes = np.arange(num_classes)
        for _ in range(int(np.clip(STEPS * BATCH_SIZE // count, *EPOCHS))):
            # one epoch per call; unlike fit, it takes labels of which some are missing
            self._network.partial_fit(_flat(x_NTC), y_N, classes=classes)

    def accuracy(self, x_NTC: NDArray[np.float32], y_N: NDArray[np.int64]) -> float:
        """Return the share of samples that are taken for their label."""
        return float(np.mean(self._network.predict(_flat(x_NTC)) == y_N))

    def posteriors(self, x_NTC: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return ``posterior_NK``, the probability of each class for each sample, in float64."""
        found: NDArray[np.float64] = self._network.predict_proba(_flat(x_NTC))
        return found.astype(np.float64)

    def features(self, x_NTC: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return ``feature_ND``, the 64 units of the last hidden layer, in float64."""
        h = _flat(x_NTC)
        layers = list(zip(self._network.coefs_, self._network.intercepts_, strict=True))
        for weight, bias in layers[:-1]:
            h = np.maximum(h @ weight + bias, 0)
        return h.astype(np.float64)


def _flat(x_NTC: NDArray[np.float32]) -> NDArray[np.float32]:
    return x_NTC.reshape(len(x_NTC), -1)
