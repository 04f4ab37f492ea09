"""Conditional generator and critic for short sequences of vectors (paper 000, section 4).

B batch, L latent, K classes, T vectors, C components, H channels.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - the name that PyTorch code gives it
from torch import Tensor, nn

NEGATIVE_SLOPE = 0.2


class SampleGenerator(nn.Module, ABC):
    """The interface of a generator for its trainer."""

    num_vectors: int  # T; rows of an image
    num_components: int  # C; columns of an image
    num_channels: int = 1  # of an image; no channel axis if 1
    num_classes: int  # K, number of classes
    latent_dim: int  # L

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """(T, C), or (T, C, channels) in colour."""
        colours = (self.num_channels,) if self.num_channels > 1 else ()
        return (self.num_vectors, self.num_components, *colours)

    def take_sizes(self, other: "SampleGenerator") -> None:
        """Copy the sizes of another generator."""
        self.num_vectors, self.num_components = other.num_vectors, other.num_components
        self.num_channels = other.num_channels
        self.num_classes, self.latent_dim = other.num_classes, other.latent_dim

    @abstractmethod
    def forward(self, z_BL: Tensor, y_B: Tensor) -> Tensor:
        """Generate ``x_BTC`` in [-1, 1] from latent vectors and int64 class labels.

        Images in colour have the channels as last axis.
        """


class Generator(SampleGenerator):
    """One fully connected layer and two 1-D convolutions, no biases; the output is in [-1, 1].

    The arrays are ``fc.weight`` (H1*T, L+K), ``conv1.weight`` (H2, H1, kernel_size) and
    ``conv2.weight`` (C, H2, kernel_size), all float32. ``channels`` are H1 and H2, ``kernel_size``
    is odd. The same seed gives the same weights; the global random state is neither read nor
    changed.
    """

    def __init__(
        self,
        num_vectors: int,
        num_components: int,
        num_classes: int,
        *,
        latent_dim: int = 64,
        channels: Sequence[int] = (256, 128),
        kernel_size: int = 3,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.num_vectors = num_vectors
        self.num_components = num_components
        self.num_classes = num_classes
        self.latent_dim = latent_dim
        wide, narrow = channels
        padding = kernel_size // 2
        with torch.device("meta"):  # PyTorch's own initialisation draws from the global state
            self.fc = nn.Linear(latent_dim + num_classes, wide * num_vectors, bias=False)
            self.conv1 = nn.Conv1d(wide, narrow, kernel_size, padding=padding, bias=False)
            self.conv2 = nn.Conv1d(narrow, num_components, kernel_size, padding=padding, bias=False)
        self.to_empty(device="cpu")
        self.register_buffer("onehot_KK", torch.eye(num_classes), persistent=False)
        initialise(self, seed)

    def forward(self, z_BL: Tensor, y_B: Tensor) -> Tensor:
        """Generate ``x_BTC`` from latent vectors and int64 class labels."""
        label_KB = self.get_buffer("onehot_KK").index_select(1, y_B)  # columns, for sparse layers
        h = self.fc(torch.cat([z_BL.T, label_KB]).T).relu_()
        h_BHT = self.conv1(h.view(len(h), -1, self.num_vectors)).relu_()
        return torch.tanh(self.conv2(h_BHT)).transpose(1, 2)


class Critic(nn.Module):
    """Three fully connected layers with leaky ReLU on a sample and its one-hot label.

    ``hidden`` are the widths of the two hidden layers; seeds as in ``Generator``.
    """

    def __init__(
        self,
        num_vectors: int,
        num_components: int,
        num_classes: int,
        *,
        hidden: Sequence[int] = (256, 256),
        seed: int = 0,
    ) -> None:
        super().__init__()
        first, second = hidden
        with torch.device("meta"):  # PyTorch's own initialisation draws from the global state
            self.fc1 = nn.Linear(num_vectors * num_components + num_classes, first)
            self.fc2 = nn.Linear(first, second)
            self.fc3 = nn.Linear(second, 1)
        self.to_empty(device="cpu")
        self.register_buffer("onehot_KK", torch.eye(num_classes), persistent=False)
        initialise(self, seed)

    def forward(self, x_BTC: Tensor, y_B: Tensor) -> Tensor:
        """Score samples given int64 labels: ``score_B``, higher for samples that look real."""
        return self.features(x_BTC, y_B)[-1]

    def features(self, x_BTC: Tensor, y_B: Tensor) -> list[Tensor]:
        """Return the output of each layer, the last of them ``score_B``."""
        h = torch.cat([x_BTC.flatten(1), self.get_buffer("onehot_KK")[y_B]], dim=1)
        first = F.leaky_relu(self.fc1(h), NEGATIVE_SLOPE)
        second = F.leaky_relu(self.fc2(first), NEGATIVE_SLOPE)
        return [first, second, self.fc3(second).squeeze(1)]


def initialise(network: nn.Module, seed: int) -> None:
    """Draw every parameter from U(-1/sqrt(fan_in), 1/sqrt(fan_in)), PyTorch's default scheme.

    For linear and convolution layers. The same seed gives the same float32 weights, bit for bit.
    """
    rng = torch.Generator().manual_seed(seed)
    for layer in network.children():
        weight = layer.get_parameter("weight")
        bound = 1 / math.sqrt(weight[0].numel())
        for parameter in layer.parameters():
            with torch.no_grad():
                parameter.uniform_(-bound, bound, generator=rng)
