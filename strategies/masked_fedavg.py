"""Federated averaging of generators with different masks."""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from flwr.common import ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server.strategy import FedAvg
from numpy.typing import NDArray

from flwr_gan.core.settings import Within, checked
from flwr_gan.flower import CodedReplies
from flwr_gan.flower.averaging import Averaged, Failures, Results

Weights = list[NDArray[np.float32]]


class MaskedFedAvg(FedAvg, CodedReplies):
    """FedAvg for clients that prune independently, so that their masks differ.

    A weight of exactly zero is pruned by the client. A weight is averaged over the clients that
    keep it, weighted by samples; FedAvg would count the others as zeros and shrink it. If the
    clients that keep it hold less than `quorum` of the samples, the average is zero, so that the
    global generator is sparse too.

    Parameters
    ----------
    quorum : float
        0 to 1. With 0, one client that keeps a weight is enough; with 1, all must keep it.
    **fedavg
        Settings of ``flwr.server.strategy.FedAvg``.

    Raises
    ------
    ConfigError
        When `quorum` is out of range.
    """

    def __init__(self, *, quorum: float = 0.5, **fedavg: object) -> None:
        super().__init__(**fedavg)  # type: ignore[arg-type]
        share = Annotated[float, Within(at_least=0, at_most=1)]
        self.quorum: float = checked("strategy.quorum", quorum, share)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(quorum={self.quorum})"

    def aggregate_fit(self, server_round: int, results: Results, failures: Failures) -> Averaged:
        """Average each weight over the clients that keep it, one client at a time."""
        if not results or (not self.accept_failures and failures):
            return None, {}
        mean = masked_mean(
            ((parameters_to_ndarrays(r.parameters), r.num_examples) for _, r in results),
            quorum=self.quorum,
        )
        return ndarrays_to_parameters(mean), {}


def masked_mean(uploads: Iterator[tuple[Weights, int]], *, quorum: float) -> Weights:
    """Return the mean of each weight over the clients that keep it; see ``MaskedFedAvg``.

    Uploads are each client's weights and number of samples, read one at a time; ``quorum`` is the
    minimum share of the samples held by the clients that keep a weight.
    """
    sums: list[NDArray[np.float64]] = []
    votes: list[NDArray[np.float64]] = []
    total = 0
    for weights, samples in uploads:
        if not sums:
            sums = [np.zeros(layer.shape) for layer in weights]
            votes = [np.zeros(layer.shape) for layer in weights]
        total += samples
        for layer, gathered, kept in zip(weights, sums, votes, strict=True):
            gathered += samples * layer.astype(np.float64)
            kept += samples * (layer != 0)
    return [
        np.where((kept > 0) & (kept >= quorum * total), gathered / np.maximum(kept, 1), 0).astype(
            np.float32
        )
        for gathered, kept in zip(sums, votes, strict=True)
    ]
