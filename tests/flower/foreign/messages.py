"""The app on Flower's message API."""

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import Result, Strategy

from tests.flower.foreign.task import load_data, make_model, test_loss, train


def client_app(mods) -> ClientApp:
    app = ClientApp(mods=mods)

    @app.train()
    def train_message(message: Message, context: Context) -> Message:
        model, partition = make_model(), int(context.node_config["partition-id"])
        model.load_state_dict(message.content["arrays"].to_torch_state_dict())
        train(model, *load_data(partition))
        metrics = MetricRecord({"num-examples": 10 + partition})
        content = RecordDict({"arrays": ArrayRecord(model.state_dict()), "metrics": metrics})
        return Message(content, reply_to=message)

    @app.evaluate()
    def evaluate_message(message: Message, context: Context) -> Message:
        model, partition = make_model(), int(context.node_config["partition-id"])
        model.load_state_dict(message.content["arrays"].to_torch_state_dict())
        loss, accuracy = test_loss(model, *load_data(partition))
        metrics = {"loss": loss, "accuracy": accuracy, "num-examples": 10 + partition}
        return Message(RecordDict({"metrics": MetricRecord(metrics)}), reply_to=message)

    return app


def server_app(strategy: Strategy, results: list[Result], *, num_rounds: int = 2) -> ServerApp:
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        initial = ArrayRecord(make_model().state_dict())
        results.append(strategy.start(grid, initial, num_rounds=num_rounds))

    return app
