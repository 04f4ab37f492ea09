"""A model of the matrix as a plain Flower app, on the legacy API and on the message API."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.client import Client, NumPyClient
from flwr.clientapp import ClientApp
from flwr.common import (
    Code,
    EvaluateRes,
    FitRes,
    GetParametersRes,
    Status,
)
from flwr.server import ServerAppComponents, ServerConfig
from flwr.serverapp import Grid, ServerApp

from tests.conformance.model import Arrays, Model
from tests.conformance.wire import behind_wire, client_mods

OK = Status(Code.OK, "")


@dataclass(frozen=True)
class App:
    """What both halves of an app are made of.

    Parameters
    ----------
    model : Model
        What clients train.
    mods : sequence
        Mods of training, inside the wire.
    client_wrapper : callable, optional
        Wraps a ``NumPyClient``, as flwr's older way of differential privacy wants.
    failing : frozenset of (int, int)
        Partition and round of clients that raise instead of training.
    """

    model: Model
    mods: Sequence[Any] = ()
    client_wrapper: Callable[[NumPyClient], NumPyClient] | None = None
    failing: frozenset[tuple[int, int]] = frozenset()

    def train(self, arrays: Arrays, context: Context, config: Any) -> Any:
        """Train, or fail where that is wanted."""
        partition = _partition(context)
        if (partition, config.get("server-round")) in self.failing:
            raise RuntimeError("this client has no power today")
        return self.model.train(arrays, partition=partition, config=config, state=context.state)

    def evaluate(self, arrays: Arrays, context: Context) -> tuple[float, int, dict[str, float]]:
        """Return loss, examples and the accuracy where there is one."""
        partition = _partition(context)
        score = self.model.evaluate(arrays, partition=partition, state=context.state)
        accuracy = {} if score.accuracy is None else {"accuracy": score.accuracy}
        return score.loss, score.examples, accuracy


def _partition(context: Context) -> int:
    return int(context.node_config["partition-id"])


class ArraysClient(NumPyClient):
    """The usual client of the legacy API."""

    def __init__(self, app: App, context: Context) -> None:
        self.app, self.own_context = app, context

    def fit(self, parameters: Any, config: Any) -> Any:
        """Train."""
        trained = self.app.train(self.app.model.named(parameters), self.own_context, config)
        sent = list(trained.arrays.values())
        return sent, trained.examples, {"train_loss": trained.loss}

    def evaluate(self, parameters: Any, config: Any) -> Any:
        """Evaluate."""
        return self.app.evaluate(self.app.model.named(parameters), self.own_context)


class BytesClient(Client):
    """A client of the legacy API whose tensors are bytes of its own making."""

    def __init__(self, app: App, context: Context) -> None:
        self.app, self.own_context = app, context

    def get_parameters(self, ins: Any) -> Any:
        """Return the initial arrays."""
        return GetParametersRes(OK, self.app.model.to_parameters(self.app.model.initial()))

    def fit(self, ins: Any) -> Any:
        """Train."""
        model = self.app.model
        trained = self.app.train(
            model.from_parameters(ins.parameters), self.own_context, ins.config
        )
        sent = model.to_parameters(trained.arrays)
        return FitRes(OK, sent, trained.examples, {"train_loss": trained.loss})

    def evaluate(self, ins: Any) -> Any:
        """Evaluate."""
        arrays = self.app.model.from_parameters(ins.parameters)
        loss, examples, metrics = self.app.evaluate(arrays, self.own_context)
        return EvaluateRes(OK, loss, examples, dict(metrics))


def legacy_client_app(app: App, *, codec: str | None, watch: Any) -> ClientApp:
    """Return the client's half on the legacy API."""

    def client_fn(context: Context) -> Client:
        if not app.model.numpy_client:
            return BytesClient(app, context)
        client: NumPyClient = ArraysClient(app, context)
        if app.client_wrapper is not None:
            client = app.client_wrapper(client)
        return client.to_client()

    return ClientApp(client_fn, mods=client_mods(codec, [watch, *app.mods]))


def legacy_server_app(strategy: Any, *, codec: str | None, rounds: int) -> ServerApp:
    """Return the server's half on the legacy API."""

    def server_fn(context: Context) -> ServerAppComponents:
        config = ServerConfig(num_rounds=rounds)
        return ServerAppComponents(strategy=behind_wire(strategy, codec), config=config)

    return ServerApp(server_fn=server_fn)


def message_client_app(app: App, *, codec: str | None, watch: Any) -> ClientApp:
    """Return the client's half on the message API."""
    client = ClientApp(mods=client_mods(codec, [watch]))

    def train(message: Message, context: Context) -> Message:
        arrays, config = _arrays(message, app), next(iter(message.content.config_records.values()))
        trained = app.train(arrays, context, config)
        metrics = {"num-examples": trained.examples, "train_loss": trained.loss}
        sent = ArrayRecord({name: Array(array) for name, array in trained.arrays.items()})
        return _reply(message, {"arrays": sent, "metrics": MetricRecord(metrics)})

    client.train(mods=list(app.mods))(train)
    client.query()(train)

    @client.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        loss, examples, metrics = app.evaluate(_arrays(message, app), context)
        told = MetricRecord({"num-examples": examples, "loss": loss, **metrics})
        return _reply(message, {"metrics": told})

    return client


def _arrays(message: Message, app: App) -> Arrays:
    (record,) = message.content.array_records.values()
    return {name: array.numpy() for name, array in record.items()}


def _reply(message: Message, records: dict[str, Any]) -> Message:
    return Message(RecordDict(records), reply_to=message)


def message_server_app(strategy: Any, app: App, *, codec: str | None, rounds: int) -> ServerApp:
    """Return the server's half on the message API."""
    server = ServerApp()

    @server.main()
    def main(grid: Grid, context: Context) -> None:
        initial = ArrayRecord({k: Array(v) for k, v in app.model.initial().items()})
        behind_wire(strategy, codec).start(grid, initial, num_rounds=rounds)

    return server
