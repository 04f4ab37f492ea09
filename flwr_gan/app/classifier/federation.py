"""A federation that trains a classifier: the differences to one that trains GANs."""

# N samples, I inputs

import math
from typing import TYPE_CHECKING, Any

import torch
from flwr.app import Context
from flwr.client import NumPyClient
from torch import Tensor, nn

from flwr_gan.app.classifier.config import ClassifierConfig
from flwr_gan.app.classifier.network import new_network
from flwr_gan.app.federation import Federation
from flwr_gan.data import Samples
from flwr_gan.seeding import derive_seed

if TYPE_CHECKING:
    from flwr_gan.app.classifier.scoring import ClassifierScorer


class ClassifierFederation(Federation):
    """A validated config with ``classifier`` set, and the data it names."""

    models = "classifiers"

    @property
    def settings(self) -> ClassifierConfig:
        """Settings of the classifier and its training."""
        assert self.config.classifier is not None
        return self.config.classifier

    def sizes_with(self, hidden: tuple[int, ...]) -> tuple[int, ...]:
        """Return inputs, hidden units and classes of a network for these data."""
        inputs = math.prod(self.dataset.train.x_NTC.shape[1:])
        return (inputs, *hidden, self.dataset.num_classes)

    def initial(self) -> nn.Sequential:
        """Return the network that is sent, with the weights of the first broadcast."""
        settings = self.settings
        sizes = self.sizes_with(settings.student if settings.distil else settings.hidden)
        return new_network(sizes, seed=derive_seed(self.config.seed, "initial weights"))

    def iterations(self, *, ticket: bool = False, client: int = 0) -> int:
        """Return a client's training steps in a round; one per pass if its data are unknown."""
        held = self.sizes[client] if client < len(self.sizes) else 1
        return self.settings.passes * math.ceil(held / self.settings.batch_size)

    def client(self, context: Context) -> NumPyClient:
        """Return the client for a node's context."""
        from flwr_gan.app.classifier.client import ClassifierClient

        return ClassifierClient(self, context)

    def scorer(self, inner: Any) -> "ClassifierScorer":
        """Return the scorer for the rounds of a strategy."""
        from flwr_gan.app.classifier.scoring import ClassifierScorer

        return ClassifierScorer(self)

    def tensors(self, samples: Samples) -> tuple[Tensor, Tensor]:
        """Return flat samples ``x_NI`` and classes ``y_N``, sharing their memory."""
        x_NI = torch.from_numpy(samples.x_NTC).reshape(len(samples), -1)
        return x_NI, torch.from_numpy(samples.y_N)
