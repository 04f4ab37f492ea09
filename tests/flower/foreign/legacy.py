"""The app on Flower's legacy API; the wire is in the last lines of each half."""

from flwr.app import Context
from flwr.client import Client, NumPyClient
from flwr.clientapp import ClientApp
from flwr.common import ndarrays_to_parameters
from flwr.server import ServerAppComponents, ServerConfig
from flwr.server.strategy import FedAvg, Strategy
from flwr.serverapp import ServerApp

from tests.flower.foreign.task import (
    get_weights,
    load_data,
    make_model,
    set_weights,
    test_loss,
    train,
)


class ClassifierClient(NumPyClient):
    def __init__(self, partition: int) -> None:
        self.partition, self.model = partition, make_model()
        self.x, self.y = load_data(partition)

    def get_parameters(self, config):
        return get_weights(self.model)

    def fit(self, parameters, config):
        set_weights(self.model, parameters)
        train(self.model, self.x, self.y)
        return get_weights(self.model), 10 + self.partition, {"partition": self.partition}

    def evaluate(self, parameters, config):
        set_weights(self.model, parameters)
        loss, accuracy = test_loss(self.model, self.x, self.y)
        return loss, 10 + self.partition, {"accuracy": accuracy}


def client_fn(context: Context) -> Client:
    return ClassifierClient(int(context.node_config["partition-id"])).to_client()


def client_app(mods) -> ClientApp:
    return ClientApp(client_fn, mods=mods)


def make_fedavg(*, ask_client: bool = False, **settings) -> FedAvg:
    initial = None if ask_client else ndarrays_to_parameters(get_weights(make_model()))
    return FedAvg(initial_parameters=initial, **settings)


def server_app(strategy: Strategy, *, num_rounds: int = 2) -> ServerApp:
    def server_fn(context: Context) -> ServerAppComponents:
        return ServerAppComponents(strategy=strategy, config=ServerConfig(num_rounds=num_rounds))

    return ServerApp(server_fn=server_fn)
