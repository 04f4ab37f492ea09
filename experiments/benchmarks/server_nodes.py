"""Nodes in this process for a legacy strategy, whose own processor time is measured apart."""

import time
from collections.abc import Callable, Sequence

from flwr.app import Context, Message
from flwr.client import Client, NumPyClient
from flwr.clientapp import ClientApp
from flwr.common import FitRes, Parameters
from flwr.server.client_manager import SimpleClientManager
from flwr.server.client_proxy import ClientProxy
from flwr.server.strategy import Strategy

from flwr_gan.engine.inline_grid import InlineGrid
from flwr_gan.flower import compression_mod
from flwr_gan.flower.flwr_private import GridClientProxy, Run

Results = list[tuple[ClientProxy, FitRes]]


class Nodes:
    """Clients that answer in this process; the mod leaves messages of a plain strategy alone.

    ``client_s`` are the processor seconds of the clients so far, in which they code and decode.
    """

    def __init__(self, make: Callable[[int], NumPyClient], count: int) -> None:
        def client_fn(context: Context) -> Client:
            return make(int(str(context.node_config["partition-id"]))).to_client()

        self.client_s = 0.0
        grid = InlineGrid(
            ClientApp(client_fn, mods=[compression_mod]),
            num_supernodes=count,
            run_config={},
            run=Run.create_empty(1),
            run_together=self._timed,
        )
        self.manager = SimpleClientManager()
        for node in grid.get_node_ids():
            self.manager.register(GridClientProxy(node, grid, 1))

    def fit(self, strategy: Strategy, parameters: Parameters, server_round: int) -> Results:
        """Ask the nodes that the strategy chooses; return their replies."""
        chosen = strategy.configure_fit(server_round, parameters, self.manager)
        return [(client, client.fit(ins, None, server_round)) for client, ins in chosen]

    def _timed(self, jobs: Sequence[Callable[[], Message]], *, at_once: int) -> list[Message]:
        started = time.process_time()
        replies = [job() for job in jobs]
        self.client_s += time.process_time() - started
        return replies
