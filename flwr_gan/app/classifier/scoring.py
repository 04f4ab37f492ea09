"""Quality of a federation's classifier, measured by the server after each round."""

# N samples, K classes

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from flwr_gan.app.classifier.federation import ClassifierFederation
from flwr_gan.app.classifier.network import logits, measure
from flwr_gan.app.scoring import RoundScorer, Weights
from flwr_gan.core.atomic import write_text
from flwr_gan.data import Samples
from flwr_gan.gan import load_network_arrays, network_arrays, torch_threads
from flwr_gan.plots import confusion_picture, save_figure
from flwr_gan.seeding import numpy_rng
from flwr_gan.wire import decode_payload, encode_payload
from flwr_gan.wire.codecs import get_codec
from flwr_gan.wire.stages.schedule import Schedule

TRAINING_SAMPLES = 10_000
"""Maximum number of training samples on which it is measured after every round."""


@dataclass
class ClassifierScorer(RoundScorer):
    """Measure the global classifier on test data, as in its file: after the codec."""

    federation: ClassifierFederation

    picture = "confusion"
    shows = "confusion.png shows which classes it mistakes"

    def score(
        self, server_round: int, weights: Weights, earlier: Sequence[Mapping[str, Any]]
    ) -> dict[str, float]:
        """Return accuracy and mean cross entropy on test and training samples.

        The result is empty if the server does not evaluate.
        """
        if not self.judges:
            return {}
        network = self.network(weights)
        row: dict[str, float] = {}
        for name, samples in (("test", self.federation.dataset.test), ("train", self._training)):
            with torch_threads(self.config.federation.threads):
                accuracy, loss = measure(network, *self.federation.tensors(samples))
            row |= {f"{name}_accuracy": accuracy, f"{name}_loss": loss}
        return row

    def last(
        self, weights: Weights, *, server_round: int, uploads: Path | None
    ) -> NDArray[np.int64] | None:
        """Return ``confusion``, None if the server does not evaluate."""
        return self.confusion(self.network(weights)) if self.judges else None

    def write(self, found: NDArray[np.int64] | None, folder: Path) -> dict[str, Any]:
        """Write ``confusion.png`` and ``.csv``; return the accuracy of each class and the worst."""
        if found is None:
            return {}
        names = self.federation.dataset.class_names
        table = pd.DataFrame(found, names, names)
        write_text(folder / "confusion.csv", table.to_csv(index_label="class"))
        save_figure(confusion_picture(found, names), folder / f"{self.picture}.png")
        recalls_K = np.diag(found) / np.maximum(found.sum(axis=1), 1)
        by_class = {
            name: {"test_accuracy": recall}
            for name, recall in zip(names, recalls_K.tolist(), strict=True)
        }
        worst = {"test_accuracy": names[recalls_K.argmin()]}
        return {"by_class": by_class, "worst_class": worst}

    def named(self, weights: Weights) -> dict[str, NDArray[Any]]:
        """Return the global parameters by name."""
        return dict(zip(network_arrays(self.federation.initial()), weights, strict=True))

    def network(self, weights: Weights) -> nn.Sequential:
        """Return the global classifier as in its file."""
        arrays, codec = self.named(weights), Schedule.of(self.config.codec).last
        if not get_codec(codec).lossless:
            arrays = decode_payload(encode_payload(arrays, codec=codec))
        network = self.federation.initial()
        load_network_arrays(network, arrays)
        return network

    def confusion(self, network: nn.Module) -> NDArray[np.int64]:
        """Return the confusion matrix of test samples: true class (rows), predicted (columns)."""
        x_NI, y_N = self.federation.tensors(self.federation.dataset.test)
        with torch_threads(self.config.federation.threads):
            found_N = logits(network, x_NI).argmax(1)
        classes = self.federation.dataset.num_classes
        flat = torch.bincount(y_N * classes + found_N, minlength=classes**2)
        counts_KK: NDArray[np.int64] = flat.reshape(classes, classes).numpy()
        return counts_KK

    @cached_property
    def _training(self) -> Samples:
        train = self.federation.dataset.train
        order = numpy_rng(self.config.seed, "probe").permutation(len(train))
        return train.take(order[:TRAINING_SAMPLES])
