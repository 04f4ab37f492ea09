"""The client of a classifier: trains the broadcast; may prune it and learn from a teacher."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from flwr.app import Context
from flwr.client import NumPyClient
from flwr.common import NDArrays, Scalar
from numpy.typing import NDArray
from torch import Tensor, nn

from flwr_gan.app.classifier.federation import ClassifierFederation
from flwr_gan.app.classifier.network import (
    LossGradient,
    logits,
    measure,
    new_network,
    shuffled,
    train,
)
from flwr_gan.app.nodes import partition_of
from flwr_gan.flower.records import arrays_to_record, record_to_arrays
from flwr_gan.gan import load_network_arrays, network_arrays, torch_threads
from flwr_gan.methods.classifier_distillation import (
    cross_entropy_gradient,
    distillation_gradient,
    printed_gradient,
)
from flwr_gan.prune.magnitude import prunable, prune
from flwr_gan.seeding import derive_seed

Config = Mapping[str, Scalar]

TEACHER = "flwr_gan.teacher"  # its logits for the client's samples


class ClassifierClient(NumPyClient):
    """Train the broadcast classifier on the samples of one partition, and prune it.

    With distillation the client trains a teacher, the large network, before its first round. The
    teacher is never sent; its logits for the client's samples stay in ``context.state``.

    The server's config may contain ``round`` (int) and ``proximal_mu``.
    """

    def __init__(self, federation: ClassifierFederation, context: Context) -> None:
        self._federation, self._settings = federation, federation.settings
        self._partition = partition_of(context.node_config)
        parts = federation.shares_of(self._partition)
        device = federation.config.federation.device
        (self._x_NI, self._y_N), self._held_out = (
            tuple(tensor.to(device) for tensor in federation.tensors(part)) for part in parts
        )
        self._state = context.state.array_records

    def get_parameters(self, config: Config) -> NDArrays:
        """Return the initial weights of the run."""
        return list(network_arrays(self._federation.initial()).values())

    def fit(self, parameters: NDArrays, config: Config) -> tuple[NDArrays, int, dict[str, Scalar]]:
        """Train the broadcast network for a round; return its weights and the sample count."""
        with torch_threads(self._federation.config.federation.threads):
            network = self._loaded(parameters)
            self._train(
                network,
                self._loss_gradient(),
                seed=self._seed("order", int(config.get("round", 1))),
                passes=self._settings.passes,
                proximal_mu=float(config.get("proximal_mu", 0.0)),
            )
        arrays = network_arrays(network)
        if self._settings.prune:
            arrays = pruned(arrays, self._settings.prune)
        return list(arrays.values()), len(self._y_N), {}

    def evaluate(
        self, parameters: NDArrays, config: Config
    ) -> tuple[float, int, dict[str, Scalar]]:
        """Measure the broadcast network on this client's own held-out samples."""
        with torch_threads(self._federation.config.federation.threads):
            accuracy, loss = measure(self._loaded(parameters), *self._held_out)
        scores: dict[str, Scalar] = {"test_accuracy": accuracy, "test_loss": loss}
        return loss, len(self._held_out[1]), scores

    def _loaded(self, parameters: NDArrays) -> nn.Sequential:
        network = self._federation.initial()
        names = [name for name, _ in network.named_parameters()]
        load_network_arrays(network, dict(zip(names, parameters, strict=True)))
        return network.to(self._x_NI.device)

    def _loss_gradient(self) -> LossGradient:
        settings, y_N = self._settings, self._y_N
        if not settings.distil:
            return self._of_labels
        t_NK = self._teacher_logits()
        gradient = partial(
            printed_gradient if settings.distil == "printed" else distillation_gradient,
            alpha=settings.alpha,
            temperature=settings.temperature,
        )
        return lambda z_BK, places: gradient(z_BK, t_NK[places], y_N[places])

    def _of_labels(self, z_BK: Tensor, places: Tensor) -> Tensor:
        return cross_entropy_gradient(z_BK, self._y_N[places])

    def _teacher_logits(self) -> Tensor:
        if TEACHER not in self._state:
            sizes = self._federation.sizes_with(self._settings.hidden)
            teacher = new_network(sizes, seed=self._seed("teacher")).to(self._x_NI.device)
            seed, passes = self._seed("teacher order"), self._settings.teacher_passes
            self._train(teacher, self._of_labels, seed=seed, passes=passes)
            t_NK = logits(teacher, self._x_NI)
            self._state[TEACHER] = arrays_to_record({"logits": t_NK.cpu().numpy()})
        kept = record_to_arrays(self._state[TEACHER])["logits"]
        return torch.from_numpy(kept).to(self._x_NI.device)

    def _train(
        self,
        network: nn.Sequential,
        loss_gradient: LossGradient,
        *,
        seed: int,
        passes: int,
        proximal_mu: float = 0.0,
    ) -> None:
        settings, rng = self._settings, torch.Generator().manual_seed(seed)
        places = shuffled(len(self._y_N), batch_size=settings.batch_size, passes=passes, rng=rng)
        train(
            network,
            self._x_NI,
            loss_gradient,
            (batch.to(self._x_NI.device) for batch in places),
            learning_rate=settings.learning_rate,
            momentum=settings.momentum,
            proximal_mu=proximal_mu,
        )

    def _seed(self, purpose: str, server_round: int = 0) -> int:
        seed = self._federation.config.seed
        return derive_seed(seed, purpose, round=server_round, partition=self._partition)


def pruned(
    arrays: Mapping[str, NDArray[np.float32]], share: float
) -> dict[str, NDArray[np.float32]]:
    """Return weights without the ``round(share * n)`` smallest of each layer's n; biases stay."""
    everything = {name: np.ones(array.shape, dtype=bool) for name, array in arrays.items()}
    kept = prune(
        arrays, everything, pruned=lambda n: round(share * n), scope="local", min_kept_per_layer=1
    )
    return dict(arrays) | {
        name: np.where(kept[name], arrays[name], np.float32(0)) for name in prunable(arrays)
    }
