"""A foreign app of the message API whose model is any dictionary of arrays; no torch."""

from collections.abc import Callable, Mapping

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from flwr_gan.engine import run_apps
from flwr_gan.flower import compression_mod
from flwr_gan.flower.records import record_to_arrays

Arrays = dict[str, np.ndarray]


def client_app(train: Callable[[Arrays, Context], Arrays], mods=(compression_mod,)) -> ClientApp:
    """Return an app whose clients answer with what `train` makes of the arrays."""
    app = ClientApp(mods=list(mods))

    @app.train()
    def on_train(message: Message, context: Context) -> Message:
        arrays = {k: a.numpy() for k, a in message.content["arrays"].items()}
        answer = ArrayRecord({k: _array(a) for k, a in train(arrays, context).items()})
        metrics = MetricRecord({"num-examples": 1})
        return Message(RecordDict({"arrays": answer, "metrics": metrics}), reply_to=message)

    @app.evaluate()
    def on_evaluate(message: Message, context: Context) -> Message:
        arrays = {k: a.numpy() for k, a in message.content["arrays"].items()}
        loss = float(sum(np.sum(a.astype(np.float64)) for a in arrays.values()))
        metrics = MetricRecord({"loss": loss, "num-examples": 1})
        return Message(RecordDict({"metrics": metrics}), reply_to=message)

    return app


def _array(array: np.ndarray):
    from flwr.app import Array

    return Array(array)


def run(strategy, start: Mapping[str, np.ndarray], train, *, mods=(compression_mod,), nodes=3,
        rounds=3, wrap=None, **options):  # fmt: skip
    """Run a strategy of the message API; return its final arrays and result."""
    results = []
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        grid = grid if wrap is None else wrap(grid)
        initial = ArrayRecord({k: _array(np.asarray(a)) for k, a in start.items()})
        results.append(strategy.start(grid, initial, num_rounds=rounds))

    run_apps(app, client_app(train, mods), num_supernodes=nodes, run_config={}, **options)
    return record_to_arrays(results[0].arrays), results[0]


def alike(a: Arrays, b: Arrays) -> bool:
    """Tell whether arrays are the same, bit for bit, names, dtypes and shapes too."""
    return list(a) == list(b) and all(
        a[k].dtype == b[k].dtype and a[k].shape == b[k].shape and a[k].tobytes() == b[k].tobytes()
        for k in a
    )
