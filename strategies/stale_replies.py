"""Base of asynchronous strategies: replies based on earlier versions of the model."""

from flwr.common import FitIns, NDArrays, Parameters, parameters_to_ndarrays
from flwr.server.client_manager import ClientManager
from flwr.server.client_proxy import ClientProxy
from flwr.server.strategy import FedAvg

from flwr_gan.core.settings import Amount, checked
from flwr_gan.flower import CodedReplies
from flwr_gan.flower.averaging import Failures, Results


class StaleReplies(FedAvg, CodedReplies):
    """FedAvg that remembers its broadcast and gives old replies less weight.

    A reply that began tau versions ago has the weight ``(1 + tau) ** -staleness_exponent``. Raises
    ``ConfigError`` when the exponent is out of range.
    """

    def __init__(self, *, staleness_exponent: float, **fedavg: object) -> None:
        super().__init__(**fedavg)  # type: ignore[arg-type]
        key = "strategy.staleness_exponent"
        self.staleness_exponent: float = checked(key, staleness_exponent, Amount)
        self.round_measures: dict[str, float] = {}
        self._broadcast: Parameters | None = None

    def configure_fit(
        self, server_round: int, parameters: Parameters, client_manager: ClientManager
    ) -> list[tuple[ClientProxy, FitIns]]:
        """Send the newest model."""
        self._broadcast = parameters
        return super().configure_fit(server_round, parameters, client_manager)

    def faded(self, staleness: int) -> float:
        """Return the weight of a reply that began a number of versions ago."""
        return float((1 + staleness) ** -self.staleness_exponent)

    def newest(self, results: Results, failures: Failures) -> NDArrays | None:
        """Return the weights that replies move; None if there are no replies."""
        if not results or self._broadcast is None or (failures and not self.accept_failures):
            return None
        return parameters_to_ndarrays(self._broadcast)
