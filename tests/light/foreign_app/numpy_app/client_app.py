"""The client app, for both APIs of Flower."""

from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.client import NumPyClient
from flwr.clientapp import ClientApp

from flwr_gan.flower import compression_mod
from numpy_app.task import trained


class Client(NumPyClient):
    def __init__(self, partition):
        self.partition = partition

    def fit(self, parameters, config):
        arrays = dict(zip(("weights", "bias", "steps"), parameters, strict=True))
        return list(trained(arrays, self.partition).values()), 64, {}


def _partition(context):
    return int(context.node_config["partition-id"])


def _make(mods):
    app = ClientApp(mods=mods)

    @app.train()
    def train(message, context):
        arrays = {name: array.numpy() for name, array in message.content["arrays"].items()}
        record = ArrayRecord(
            {name: Array(array) for name, array in trained(arrays, _partition(context)).items()}
        )
        metrics = MetricRecord({"num-examples": 64})
        return Message(RecordDict({"arrays": record, "metrics": metrics}), reply_to=message)

    return app


def _client_fn(context):
    return Client(_partition(context)).to_client()


class App(ClientApp):
    """Chooses by the run config: which API, and whether the wire is in between."""

    def __call__(self, message, context):
        mods = [] if context.run_config["codec"] == "none" else [compression_mod]
        legacy = context.run_config["api"] == "legacy"
        app = ClientApp(_client_fn, mods=mods) if legacy else _make(mods)
        return app(message, context)


app = App()
