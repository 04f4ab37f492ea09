"""Buffered asynchronous aggregation (Nguyen et al., 2022, Algorithm 1)."""

import numpy as np
from flwr.common import ndarrays_to_parameters

from flwr_gan.core.settings import Count, Positive, checked
from flwr_gan.flower import CodedFitRes
from flwr_gan.flower.averaging import Averaged, Failures, Results
from strategies.stale_replies import StaleReplies


class FedBuff(StaleReplies):
    """Move the model by the mean change of the first `buffer_size` clients that reply.

    A client that has replied is sent the newest model, while the others continue to train. A change
    that began tau versions ago has the weight ``(1 + tau) ** -staleness_exponent``.

    Parameters
    ----------
    buffer_size : int
        K, the number of replies for a new version.
    server_lr : float
        eta_g, how far the model follows the mean change.
    staleness_exponent : float
        0.5 in the paper; 0: old changes have the weight of new ones.
    **fedavg
        Settings of ``flwr.server.strategy.FedAvg``.

    Raises
    ------
    ConfigError
        When a setting is out of range.
    """

    def __init__(
        self,
        *,
        buffer_size: int = 5,
        server_lr: float = 1.0,
        staleness_exponent: float = 0.5,
        **fedavg: object,
    ) -> None:
        super().__init__(staleness_exponent=staleness_exponent, **fedavg)
        self.buffer_size: int = checked("strategy.buffer_size", buffer_size, Count)
        self.server_lr: float = checked("strategy.server_lr", server_lr, Positive)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(buffer_size={self.buffer_size})"

    def aggregate_fit(self, server_round: int, results: Results, failures: Failures) -> Averaged:
        """Add the mean change of the replies, one client at a time."""
        weights = self.newest(results, failures)
        if weights is None:
            return None, {}
        moves = [np.zeros(layer.shape) for layer in weights]
        ages = []
        for _, result in results:
            if not isinstance(result, CodedFitRes):
                raise TypeError("FedBuff needs to know what clients were sent: wrap it in "
                                "CompressedStrategy")  # fmt: skip
            ages.append(result.staleness)
            share = self.server_lr * self.faded(result.staleness) / len(results)
            began, ended = result.trained_from(), result.arrays()
            for move, (name, after) in zip(moves, ended.items(), strict=True):
                move += share * (after.astype(np.float64) - began[name])
        self.round_measures = {"staleness": float(np.mean(ages))}
        moved = [(w + m).astype(w.dtype) for w, m in zip(weights, moves, strict=True)]
        return ndarrays_to_parameters(moved), {}
