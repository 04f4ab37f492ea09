"""A convolutional classifier that scores images.

On 4,096 raw pixels the package's multilayer perceptron is sure of its class for ragged strokes too;
both judges' scores are kept.
"""

# B batch, N images, T rows, C columns, D features

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name that PyTorch code gives it
from numpy.typing import NDArray
from torch import Tensor, nn

from flwr_gan.data import Samples
from flwr_gan.metrics import (
    frechet_distance,
    inception_score,
    precision_recall_density_coverage,
)
from flwr_gan.seeding import derive_seed

EPOCHS = 3
BATCH_SIZE = 64
NEIGHBOURS = 5


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
    """Scores images by a classifier that is trained once on real training images.

    The same arguments give the same scores.
    """

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
