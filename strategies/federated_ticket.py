"""A lottery ticket shared by the whole federation (paper 000, Alg. 2; the server prunes)."""

from collections.abc import Mapping, Sequence
from logging import getLogger
from typing import Annotated, Any

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
from numpy.typing import NDArray

from flwr_gan.core.settings import Amount, Count, Natural, Within, checked, require, require_one_of
from flwr_gan.flower import CodedReplies
from flwr_gan.flower.averaging import Averaged, Failures, Results
from flwr_gan.prune import LotteryPruner, Scope
from strategies.order import with_order

log = getLogger(__name__)

REWINDS = ("init", "early", "none")


class FederatedTicket(FedAvg, CodedReplies):
    """Federated averaging under one shared mask, which the server shrinks level by level.

    A level is `rounds_per_level` rounds of averaging. Between two levels the server prunes the
    averaged weights to rho_p = 1 - (1 - rate)^p, and the survivors restart from their initial
    weights, from those of an early round, or continue as they are. Clients read the mask from the
    zeros of the broadcast, so no separate mask is sent.

    Parameters
    ----------
    initial_parameters : Parameters
        All initial weights, because survivors return to them.
    names : sequence of str, optional
        Names of the arrays, for messages; their positions by default.
    rate : float
        delta, the share of the survivors that each pruning removes.
    iterations : int
        P, the number of prunings.
    scope : {"global", "local"}
        Magnitude order over the whole network or in each layer.
    min_kept_per_layer : int
        Minimum number of weights kept in each layer.
    train_final : bool
        True: train once more under the final mask, P + 1 levels. False: Alg. 2 as printed, P levels
        and a pruning after the last.
    rounds_per_level : int
        Averaging rounds of one level.
    rewind : {"init", "early", "none"}
        Weights from which the survivors restart after a pruning.
    rewind_round : int
        The round in the first level to whose average ``rewind="early"`` returns.
    proximal_mu : float
        mu of FedProx, sent to the clients.
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
        initial_parameters: Parameters,
        names: Sequence[str] | None = None,
        rate: float = 0.2,
        iterations: int = 5,
        scope: Scope = "global",
        min_kept_per_layer: int = 0,
        train_final: bool = True,
        rounds_per_level: int = 1,
        rewind: str = "init",
        rewind_round: int = 1,
        proximal_mu: float = 0.0,
        **fedavg: Any,
    ) -> None:
        super().__init__(initial_parameters=initial_parameters, **fedavg)
        checked("strategy.rounds_per_level", rounds_per_level, Count)
        checked("strategy.iterations", iterations, Natural)
        checked("strategy.train_final", train_final, bool)
        trained = train_final or iterations > 0
        require("strategy.train_final", train_final, trained, "true, or iterations of 1 or more")
        require_one_of("strategy.rewind", rewind, REWINDS)
        rounds = Annotated[int, Within(at_least=1, at_most=rounds_per_level)]
        checked("strategy.rewind_round", rewind_round, rounds)
        checked("strategy.proximal_mu", proximal_mu, Amount)
        weights = parameters_to_ndarrays(initial_parameters)
        self.names = list(names or map(str, range(len(weights))))
        self.pruner = LotteryPruner(
            self._named(weights), rate=rate, scope=scope, min_kept_per_layer=min_kept_per_layer
        )
        self.rate, self.iterations, self.train_final = rate, iterations, train_final
        self.rounds_per_level = rounds_per_level
        self.rewind_to, self.rewind_round = rewind, rewind_round
        self.proximal_mu = proximal_mu
        self._early: dict[str, NDArray[np.float32]] | None = None
        self._broadcast: Parameters | None = None

    def __repr__(self) -> str:
        return (
            f"FederatedTicket(P={self.iterations}, rate={self.rate}, "
            f"rounds_per_level={self.rounds_per_level}, rewind={self.rewind_to})"
        )

    @property
    def num_rounds(self) -> int:
        """Number of rounds of the whole search."""
        return (self.iterations + self.train_final) * self.rounds_per_level

    def level(self, server_round: int) -> int:
        """Return the number of prunings under whose mask a round trains."""
        return (server_round - 1) // self.rounds_per_level

    def configure_fit(
        self, server_round: int, parameters: Parameters, client_manager: ClientManager
    ) -> list[tuple[ClientProxy, FitIns]]:
        """Send the survivors; at the start of a level, prune and rewind them first."""
        level = self.level(server_round)
        if level > self.pruner.level:
            parameters = self._next_level(parameters)
        self._broadcast = parameters
        config: dict[str, Scalar] = {"round": server_round, "masked": level > 0}
        if level > 0 and self.rewind_to != "none":
            # Also for a client that is sampled later in the level, or failed at its start.
            config["restart_from"] = level * self.rounds_per_level + 1
        if self.proximal_mu:
            config["proximal_mu"] = self.proximal_mu
        instructions = super().configure_fit(server_round, parameters, client_manager)
        return with_order(instructions, config)

    def aggregate_fit(self, server_round: int, results: Results, failures: Failures) -> Averaged:
        """Average the survivors, weighted by the clients' samples, one client at a time."""
        if not results or (not self.accept_failures and failures):
            # The broadcast, which is pruned and rewound at the start of a level.
            return self._broadcast, {}
        mean = self._average(results)
        if self.level(server_round) == 0 and server_round == self.rewind_round:
            self._early = mean
        last = server_round == self.num_rounds
        if last and not self.train_final:
            self.pruner.prune(mean)
            mean = self.pruner.rewind(mean)
        return ndarrays_to_parameters(list(mean.values())), {}

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint besides the parameters: pruner and early weights."""
        return {"pruner": self.pruner.state_dict(), "early": self._early}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state from ``state_dict``."""
        self.pruner.load_state_dict(state["pruner"])
        self._early = state["early"]

    def _named(self, weights: Sequence[NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        return dict(zip(self.names, weights, strict=True))

    def _next_level(self, trained: Parameters) -> Parameters:
        """Prune the averaged weights by one level and return the survivors' restart weights."""
        weights = self._named(parameters_to_ndarrays(trained))
        self.pruner.prune(weights)
        log.info("level %d: %.2f %% pruned", self.pruner.level, 100 * self.pruner.sparsity)
        if self.rewind_to == "none":
            survivors = self.pruner.rewind(weights)
        else:
            survivors = self.pruner.rewind(self._early if self.rewind_to == "early" else None)
        return ndarrays_to_parameters(list(survivors.values()))

    def _average(self, results: list[tuple[ClientProxy, FitRes]]) -> dict[str, NDArray[np.float32]]:
        total = sum(result.num_examples for _, result in results)
        sums = {name: np.zeros(kept.shape) for name, kept in self.pruner.mask.items()}
        for _, result in results:
            share = result.num_examples / total
            weights = self._named(parameters_to_ndarrays(result.parameters))
            for name, layer in weights.items():
                sums[name] += share * layer.astype(np.float64)
        return self.pruner.rewind({name: layer.astype(np.float32) for name, layer in sums.items()})
