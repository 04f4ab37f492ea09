"""The server app: FedAvg of either API, or a round loop by hand; the arrays end in a file."""

import numpy as np
from flwr.app import Array, ArrayRecord, Message, RecordDict
from flwr.common import ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server import ServerAppComponents, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg as MessageFedAvg

from flwr_gan.flower import CompressedGrid, CompressedMessageStrategy, CompressedStrategy
from numpy_app.task import initial


class App(ServerApp):
    """Chooses by the run config: which API, and whether the wire is in between."""

    def __call__(self, grid, context):
        config = context.run_config
        run = {"message": _message, "legacy": _legacy, "loop": _loop}[config["api"]]
        np.savez(config["out"], **run(grid, context, config["codec"], config["rounds"]))


app = App()


def _record(arrays):
    return ArrayRecord({name: Array(array) for name, array in arrays.items()})


def _arrays(record):
    return {name: array.numpy() for name, array in record.items()}


class _OrderedFedAvg(MessageFedAvg):
    """Adds replies in the order of nodes, so that two runs give the same bits."""

    def aggregate_train(self, server_round, replies):
        ordered = sorted(replies, key=lambda reply: reply.metadata.src_node_id)
        return super().aggregate_train(server_round, ordered)


def _message(grid, context, codec, rounds):
    strategy = _OrderedFedAvg(fraction_evaluate=0.0, min_available_nodes=2)
    if codec != "none":
        strategy = CompressedMessageStrategy(strategy, codec=codec)
    return _arrays(strategy.start(grid, _record(initial()), num_rounds=rounds).arrays)


class _Kept(FedAvg):
    """Adds replies in the order of nodes, and keeps what it found last."""

    def aggregate_fit(self, server_round, results, failures):
        ordered = sorted(results, key=lambda result: int(result[0].cid))
        self.found = super().aggregate_fit(server_round, ordered, failures)
        return self.found


def _legacy(grid, context, codec, rounds):
    parameters = ndarrays_to_parameters(list(initial().values()))
    kept = _Kept(initial_parameters=parameters, fraction_evaluate=0.0)
    strategy = kept if codec == "none" else CompressedStrategy(kept, codec=codec)
    config = ServerConfig(num_rounds=rounds)
    ServerApp(server_fn=lambda _: ServerAppComponents(strategy=strategy, config=config))(
        grid, context
    )
    return dict(zip(initial(), parameters_to_ndarrays(kept.found[0]), strict=True))


def _loop(grid, context, codec, rounds):
    if codec != "none":
        grid = CompressedGrid(grid, codec=codec)
    arrays = initial()
    for _ in range(rounds):
        content = RecordDict({"arrays": _record(arrays)})
        replies = grid.send_and_receive(
            [Message(content, node, "train") for node in sorted(grid.get_node_ids())]
        )
        found = [_arrays(reply.content["arrays"]) for reply in replies]
        arrays = {
            name: np.asarray(np.mean([one[name] for one in found], axis=0), arrays[name].dtype)
            for name in arrays
        }
    return arrays
