"""Buffered asynchronous aggregation (Nguyen et al., 2022, Algorithm 1)."""

import numpy as np
from flwr.common import (
    FitIns,
    FitRes,
    Parameters,
    Scalar,
    ndarrays_to_parameters,
    parameters_to_ndarrays,
)
from flwr.server.client_manager import ClientManager
from flwr.server.client_proxy import ClientProxy
from flwr.server.strategy import FedAvg

from flwr_gan.core.settings import Amount, Count, Positive, checked
from flwr_gan.flower import CodedFitRes, CodedReplies


class FedBuff(FedAvg, CodedReplies):
    """Move the model by the mean change of the first `buffer_size` clients that answer.

    No client is waited for: one that has answered is sent the newest model, while the others train
    on. A change that began tau versions ago counts ``(1 + tau) ** -staleness_exponent`` times.

    Parameters
    ----------
    buffer_size : int
        K, the replies that make a new version.
    server_lr : float
        eta_g, how far the model follows the mean change.
    staleness_exponent : float
        0.5 in the paper; 0: old changes count like new ones.
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
        super().__init__(**fedavg)  # type: ignore[arg-type]
        self.buffer_size: int = checked("strategy.buffer_size", buffer_size, Count)
        self.server_lr: float = checked("strategy.server_lr", server_lr, Positive)
        key = "strategy.staleness_exponent"
        self.staleness_exponent: float = checked(key, staleness_exponent, Amount)
        self.round_measures: dict[str, float] = {}
        self._broadcast: Parameters | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(buffer_size={self.buffer_size})"

    def configure_fit(
        self, server_round: int, parameters: Parameters, client_manager: ClientManager
    ) -> list[tuple[ClientProxy, FitIns]]:
        """Send the newest model."""
        self._broadcast = parameters
        return super().configure_fit(server_round, parameters, client_manager)

    def aggregate_fit(
        self,
        server_round: int,
        results: list[tuple[ClientProxy, FitRes]],
        failures: list[tuple[ClientProxy, FitRes] | BaseException],
    ) -> tuple[Parameters | None, dict[str, Scalar]]:
        """Add the mean change of the replies, one client at a time."""
        if not results or self._broadcast is None or (failures and not self.accept_failures):
            return None, {}
        weights = parameters_to_ndarrays(self._broadcast)
        moves = [np.zeros(layer.shape) for layer in weights]
        ages = []
        for _, result in results:
            if not isinstance(result, CodedFitRes):
                raise TypeError("FedBuff needs to know what clients were sent: wrap it in "
                                "CompressedStrategy")  # fmt: skip
            ages.append(result.staleness)
            share = self.server_lr * faded(result.staleness, self.staleness_exponent) / len(results)
            began, ended = result.trained_from(), result.arrays()
            for move, (name, after) in zip(moves, ended.items(), strict=True):
                move += share * (after.astype(np.float64) - began[name])
        self.round_measures = {"staleness": float(np.mean(ages))}
        moved = [(w + m).astype(w.dtype) for w, m in zip(weights, moves, strict=True)]
        return ndarrays_to_parameters(moved), {}


def faded(staleness: int, exponent: float) -> float:
    """Return how much a reply counts that began so many versions ago."""
    return float((1 + staleness) ** -exponent)
