"""A convolutional classifier of images, used as the judge of generated samples.

On 4,096 raw pixels, the package's multilayer perceptron is confident even for ragged strokes.

B batch, N images, T rows, C columns, D features, K classes.
"""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name in PyTorch code
from numpy.typing import NDArray
from torch import Tensor, nn

from flwr_gan.data import Samples
from flwr_gan.seeding import derive_seed

EPOCHS = 3
BATCH_SIZE = 64


class ImageClassifier:
    """A small convolutional network, trained on images of 64 x 64 pixels on construction.

    It is a ``SampleClassifier``. The same images and seed give the same classifier on one machine.
    """

    def __init__(self, train: Samples, *, seed: int) -> None:
        self._network = _trained(train, seed)

    def accuracy(self, x_NTC: NDArray[np.float32], y_N: NDArray[np.int64]) -> float:
        """Return the share of images that are classified as their label."""
        return float(np.mean(self.posteriors(x_NTC).argmax(axis=1) == y_N))

    def posteriors(self, x_NTC: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return ``posterior_NK``, the probability of each class for each image."""
        h_ND = torch.from_numpy(self.features(x_NTC).astype(np.float32))
        with torch.no_grad():
            found: NDArray[np.float64] = self._network.last(h_ND).double().softmax(dim=1).numpy()
        return found

    @torch.no_grad()
    def features(self, x_NTC: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return ``feature_ND``, the 64 units of the last hidden layer."""
        parts = torch.split(torch.from_numpy(x_NTC), 500)
        return np.concatenate([self._network.features(x).numpy() for x in parts]).astype(np.float64)


class _Network(nn.Module):
    """Two convolutions and two dense layers on images at half their resolution."""

    def __init__(self, *, num_classes: int = 10, seed: int) -> None:
        super().__init__()
        with torch.device("meta"):  # PyTorch's default initialisation uses the global random state
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


def _trained(samples: Samples, seed: int) -> _Network:
    network = _Network(seed=derive_seed(seed, "judge weights"))
    adam = torch.optim.Adam(network.parameters(), lr=1e-3)
    rng = torch.Generator().manual_seed(derive_seed(seed, "judge batches"))
    x_NTC, y_N = torch.from_numpy(samples.x_NTC), torch.from_numpy(samples.y_N)
    for _ in range(EPOCHS):
        for index_B in torch.split(torch.randperm(len(y_N), generator=rng), BATCH_SIZE):
            adam.zero_grad()
            torch.autograd.backward(F.cross_entropy(network(x_NTC[index_B]), y_N[index_B]))
            adam.step()
    return network.requires_grad_(False)
