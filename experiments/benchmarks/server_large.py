"""The server's cost for a network of ResNet-50's shape, with and without the wire.

``Nodes`` are clients in this process for a legacy strategy, with their own processor time.
"""

import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from flwr.app import Context, Message
from flwr.client import Client, NumPyClient
from flwr.clientapp import ClientApp
from flwr.common import FitRes, NDArrays, Parameters, Scalar
from flwr.server.client_manager import SimpleClientManager
from flwr.server.client_proxy import ClientProxy
from flwr.server.strategy import Strategy

from experiments.benchmarks.wire_at_size import resnet50_shapes
from flwr_gan.engine.inline_grid import InlineGrid
from flwr_gan.errors import FlwrGanError
from flwr_gan.flower import compression_mod
from flwr_gan.flower.flwr_private import GridClientProxy, Run

CLIENTS = 4
CODECS: dict[str, str | None] = {
    "FedAvg": None,
    "CompressedStrategy(FedAvg), sparse:int8": "sparse:int8",
    "CompressedStrategy(FedAvg), raw": "raw",
}
_NOISE = np.random.default_rng(1).standard_normal(1 << 16, np.float32)


Results = list[tuple[ClientProxy, FitRes]]


def aggregated(strategy: Strategy, server_round: int, results: Results) -> tuple[Parameters, float]:
    """Aggregate replies; return the parameters and the processor seconds."""
    started = time.process_time()
    parameters, _ = strategy.aggregate_fit(server_round, results, [])
    seconds = time.process_time() - started
    if parameters is None:
        raise FlwrGanError("nothing was aggregated: every reply was refused")
    return parameters, seconds


def resnet50(scale: int) -> NDArrays:
    """Return normal weights for ResNet-50's 161 arrays, channels divided by sqrt(``scale``)."""
    rng = np.random.default_rng(0)
    arrays: NDArrays = []
    for name, shape in resnet50_shapes(scale).items():
        if len(shape) == 4:
            scale_of_he = np.float32(np.sqrt(2 / np.prod(shape[1:])))
            arrays.append(scale_of_he * rng.standard_normal(shape, np.float32))
        elif name.endswith(("bn.weight", "bn.bias")):
            mean = name.endswith("weight")
            arrays.append((mean + 0.1 * rng.standard_normal(shape)).astype(np.float32))
        elif name == "fc.weight":
            arrays.append(0.01 * rng.standard_normal(shape, np.float32))
        elif name == "fc.bias":
            arrays.append(np.zeros(shape, np.float32))
    return arrays


class MovingClient(NumPyClient):
    """Moves all weights by a hundredth of their spread."""

    def __init__(self, partition: int) -> None:
        self._noise = np.float32(0.01) * np.roll(_NOISE, 1000 * partition)

    def fit(self, parameters: NDArrays, config: object) -> tuple[NDArrays, int, dict[str, Scalar]]:
        """Return the moved weights."""
        moved = [a + a.std() * np.resize(self._noise, a.shape) for a in parameters]
        return moved, 10, {}


class Server:
    """A strategy with its nodes, round after round."""

    def __init__(self, strategy: Strategy) -> None:
        self._strategy, self._nodes = strategy, Nodes(MovingClient, CLIENTS)
        parameters = strategy.initialize_parameters(self._nodes.manager)
        assert parameters is not None
        self._parameters: Parameters = parameters
        self._round = 0

    def play_round(self) -> tuple[float, float]:
        """Return the server's processor seconds for sending and receiving, and for aggregation."""
        self._round += 1
        of_clients, started = self._nodes.client_s, time.process_time()
        results = self._nodes.fit(self._strategy, self._parameters, self._round)
        sending_s = time.process_time() - started - (self._nodes.client_s - of_clients)
        self._parameters, aggregating_s = aggregated(self._strategy, self._round, results)
        return sending_s, aggregating_s


def large_table(
    strategy_of: Callable[[str | None, NDArrays], Strategy], *, scale: int, repeats: int
) -> pd.DataFrame:
    """Return one row for plain Flower and one per codec, in turn; the first round is a warm-up."""
    weights = resnet50(scale)
    servers = {name: Server(strategy_of(codec, weights)) for name, codec in CODECS.items()}
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in servers}
    for number in range(repeats + 1):
        for name, server in servers.items():
            seconds = server.play_round()
            if number:
                spent[name].append(seconds)
    rows = []
    for name, measured in spent.items():
        sending, aggregating = (statistics.median(part) for part in zip(*measured, strict=True))
        whole = statistics.median(map(sum, measured))
        rows.append(
            {
                "strategy": name,
                "arrays": len(weights),
                "weights": sum(array.size for array in weights),
                "clients": CLIENTS,
                "sending_ms_a_client": 1e3 * sending / CLIENTS,
                "aggregating_ms_a_client": 1e3 * aggregating / CLIENTS,
                "server_ms_a_client": 1e3 * whole / CLIENTS,
                "repeats": repeats,
            }
        )
    table = pd.DataFrame(rows)
    whole_ms = table["server_ms_a_client"]
    table.insert(len(table.columns) - 1, "ratio", whole_ms / whole_ms[0])
    return table


class Nodes:
    """Clients in this process; the mod does not change messages of a plain strategy.

    ``client_s`` are the processor seconds of the clients so far, including coding and decoding.
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
        """Call the nodes that the strategy samples; return their replies."""
        chosen = strategy.configure_fit(server_round, parameters, self.manager)
        return [(client, client.fit(ins, None, server_round)) for client, ins in chosen]

    def _timed(self, jobs: Sequence[Callable[[], Message]]) -> list[Message]:
        started = time.process_time()
        replies = [job() for job in jobs]
        self.client_s += time.process_time() - started
        return replies
