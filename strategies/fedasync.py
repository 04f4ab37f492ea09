"""Asynchronous federated optimisation (Xie, Koyejo and Gupta, 2019, Algorithm 1)."""

from flwr.common import FitIns, Parameters, Scalar, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server.client_manager import ClientManager
from flwr.server.client_proxy import ClientProxy

from flwr_gan.core.settings import Amount, Rate, checked
from flwr_gan.flower import CodedFitRes
from flwr_gan.flower.averaging import Averaged, Failures, Results
from strategies.order import with_order
from strategies.stale_replies import StaleReplies


class FedAsync(StaleReplies):
    """Mix each client's model into the global model as soon as the client replies.

    ``x <- (1 - a) x + a x_client`` with ``a = alpha * (1 + tau) ** -staleness_exponent`` for a
    client that began tau versions ago, the paper's polynomial weight. Each reply is a round.

    Parameters
    ----------
    alpha : float
        Share of a fresh client in the new model.
    staleness_exponent : float
        a of the paper; 0: old models have the weight of new ones.
    proximal_mu : float
        rho of the paper, sent to the clients: mu / 2 times the squared distance from the broadcast
        is added to their loss.
    **fedavg
        Settings of ``flwr.server.strategy.FedAvg``.

    Raises
    ------
    ConfigError
        When a setting is out of range.
    """

    buffer_size = 1

    def __init__(
        self,
        *,
        alpha: float = 0.6,
        staleness_exponent: float = 0.5,
        proximal_mu: float = 0.0,
        **fedavg: object,
    ) -> None:
        super().__init__(staleness_exponent=staleness_exponent, **fedavg)
        self.alpha: float = checked("strategy.alpha", alpha, Rate)
        self.proximal_mu: float = checked("strategy.proximal_mu", proximal_mu, Amount)

    def __repr__(self) -> str:
        return f"FedAsync(alpha={self.alpha})"

    def configure_fit(
        self, server_round: int, parameters: Parameters, client_manager: ClientManager
    ) -> list[tuple[ClientProxy, FitIns]]:
        """Send the newest model, and mu if it is set."""
        instructions = super().configure_fit(server_round, parameters, client_manager)
        order: dict[str, Scalar] = {"proximal_mu": self.proximal_mu} if self.proximal_mu else {}
        return with_order(instructions, order)

    def aggregate_fit(self, server_round: int, results: Results, failures: Failures) -> Averaged:
        """Mix in the replies, one after the other."""
        weights = self.newest(results, failures)
        if weights is None:
            return None, {}
        for _, result in results:
            staleness = result.staleness if isinstance(result, CodedFitRes) else 0
            share = self.alpha * self.faded(staleness)
            theirs = parameters_to_ndarrays(result.parameters)
            pairs = zip(weights, theirs, strict=True)
            weights = [((1 - share) * own + share * new).astype(own.dtype) for own, new in pairs]
            self.round_measures = {"staleness": float(staleness)}
        return ndarrays_to_parameters(weights), {}
