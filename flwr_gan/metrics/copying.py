"""Copying: distances of generated and of fresh real samples to training samples.

N, M samples, D numbers of a sample. Distances are Euclidean, between samples as they are, and to
samples of the same class: a class is a cell of the test by Meehan et al.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from flwr_gan.data import Samples
from flwr_gan.errors import DataError


@dataclass(frozen=True, eq=False)
class Nearness:
    """Distances of generated (G) and real test samples (R) to their nearest training samples.

    ``to_test_G`` are distances of the generated samples to the nearest test sample, and
    ``train_share_G`` is the share of the training samples among all real ones of the class.
    """

    generated_G: NDArray[np.float64]
    generated_y_G: NDArray[np.int64]
    real_R: NDArray[np.float64]
    real_y_R: NDArray[np.int64]
    to_test_G: NDArray[np.float64]
    train_share_G: NDArray[np.float64]

    @classmethod
    def of(cls, generated: Samples, test: Samples, train: Samples) -> "Nearness":
        """Measure the distances; classes missing in one of the three sets are left out.

        Raises DataError if no class is in all three.
        """
        parts: list[tuple[NDArray[np.float64], ...]] = []
        labels: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        for k in np.unique(generated.y_N):
            g, r, t = (
                part.x_NTC[part.y_N == k].reshape(-1, math.prod(part.x_NTC.shape[1:]))
                for part in (generated, test, train)
            )
            if len(r) and len(t):
                share = np.full(len(g), len(t) / (len(t) + len(r)))
                parts.append((nearest(g, t), nearest(r, t), nearest(g, r), share))
                labels.append((np.full(len(g), k), np.full(len(r), k)))
        if not parts:
            raise DataError("no class has generated, test and training samples: nothing to compare")
        to_train, real, to_test, share = map(np.concatenate, zip(*parts, strict=True))
        generated_y, real_y = map(np.concatenate, zip(*labels, strict=True))
        return cls(to_train, generated_y, real, real_y, to_test, share)

    @cached_property
    def scores(self) -> dict[str, float]:
        """Four figures, see MEASURES.md.

        - ``nearest_ratio``: median distance of generated samples over that of real ones.
        - ``copying_z``: the statistic C_T of Meehan, Chaudhuri and Dasgupta (2020), the mean over
          the classes, weighted by their test samples, of the standardised Mann-Whitney U. Below -3
          generated samples are significantly nearer than test samples, above 3 farther away.
        - ``training_share``: share of generated samples that have a training sample nearer than
          any test sample, ties one half; ``training_share_expected``: the mean share of the
          training samples among the real ones, which it has where they are exchangeable.
        """
        middles = np.median(self.generated_G), np.median(self.real_R)
        won = (self.generated_G < self.to_test_G) + 0.5 * (self.generated_G == self.to_test_G)
        return {
            "nearest_ratio": float(middles[0] / middles[1]) if middles[1] else float("nan"),
            "copying_z": self._copying_z(),
            "training_share": float(won.mean()),
            "training_share_expected": float(self.train_share_G.mean()),
        }

    def _copying_z(self) -> float:
        from scipy.stats import mannwhitneyu

        total = 0.0
        for k in np.unique(self.real_y_R):
            g, r = self.generated_G[self.generated_y_G == k], self.real_R[self.real_y_R == k]
            pairs, deviation = len(g) * len(r), len(g) * len(r) * (len(g) + len(r) + 1) / 12
            wins = mannwhitneyu(g, r, method="asymptotic").statistic  # pairs with g farther than r
            total += len(r) * float(wins - pairs / 2) / deviation**0.5
        return total / len(self.real_R)


def nearest(a_ND: NDArray[np.floating], b_MD: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the Euclidean distance of each row to the nearest row of the other array.

    The nearest row is found by squares and products, which are inexact for nearly equal rows; its
    distance is then computed exactly.
    """
    from sklearn.metrics import pairwise_distances_argmin  # not needed by clients that only train

    a, b = a_ND.astype(np.float64), b_MD.astype(np.float64)
    found: NDArray[np.float64] = np.linalg.norm(a - b[pairwise_distances_argmin(a, b)], axis=1)
    return found
