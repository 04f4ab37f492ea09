"""Replies unlike the broadcast: fewer arrays, more, others, and none where some are wanted."""

from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, RecordDict
from flwr.common import ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server.strategy import FedAvg as LegacyFedAvg
from flwr.serverapp.strategy import FedAvg

from tests.conformance.model import Arrays, Config, Model, Score, Trained, train_examples
from tests.conformance.networks import mlp
from tests.conformance.other_models import client_digits, softmax_score, test_digits
from tests.conformance.torch_model import TorchModel

BODY = 2
"""Arrays of the two-layer network that are no head."""


class PersonalHead(TorchModel):
    """A network whose clients send its first layer and keep the last one for themselves (FedPer).

    The first broadcast has all four arrays, later ones the two that clients send.
    """

    def __init__(self) -> None:
        super().__init__(mlp)

    def train(
        self, arrays: Arrays, *, partition: int, config: Config, state: RecordDict
    ) -> Trained:
        """Train all layers, keep the head in the client's state and send the rest."""
        whole = self._whole(arrays, state)
        trained = super().train(whole, partition=partition, config=config, state=state)
        values = list(trained.arrays.items())
        state["head"] = ArrayRecord({name: Array(value) for name, value in values[BODY:]})
        return Trained(dict(values[:BODY]), trained.loss, trained.examples)

    def evaluate(self, arrays: Arrays, *, partition: int, state: RecordDict) -> Score:
        """Return the score with the client's own head."""
        return super().evaluate(self._whole(arrays, state), partition=partition, state=state)

    def _whole(self, arrays: Arrays, state: RecordDict) -> Arrays:
        whole = self.initial() | arrays
        if "head" in state:
            whole |= {name: array.numpy() for name, array in state.array_records["head"].items()}
        return whole


class ControlVariates(TorchModel):
    """A network whose clients send its change beside its weights, twice the arrays (SCAFFOLD)."""

    def __init__(self) -> None:
        super().__init__(mlp)

    def train(
        self, arrays: Arrays, *, partition: int, config: Config, state: RecordDict
    ) -> Trained:
        """Train, and send weights and changes."""
        trained = super().train(arrays, partition=partition, config=config, state=state)
        changes = {
            f"change.{name}": new - old
            for (name, new), old in zip(trained.arrays.items(), arrays.values(), strict=True)
        }
        return Trained(trained.arrays | changes, trained.loss, trained.examples)


class Growing(TorchModel):
    """A network whose clients send one array more in each round from the second on."""

    def __init__(self) -> None:
        super().__init__(mlp)

    def train(
        self, arrays: Arrays, *, partition: int, config: Config, state: RecordDict
    ) -> Trained:
        """Train the network's own arrays, change the others, and add one."""
        values = list(arrays.items())
        own, more = dict(values[:4]), dict(values[4:])
        trained = super().train(own, partition=partition, config=config, state=state)
        sent = trained.arrays | {name: array + np.float32(0.5) for name, array in more.items()}
        if config["server-round"] > 1:
            sent[f"layer_{len(sent)}"] = np.full((4, len(sent)), 0.25 * partition, np.float32)
        return Trained(sent, trained.loss, trained.examples)

    def evaluate(self, arrays: Arrays, *, partition: int, state: RecordDict) -> Score:
        """Return the score of the network's own arrays."""
        own = dict(list(arrays.items())[:4])
        return super().evaluate(own, partition=partition, state=state)


class LargestChanges(Model):
    """A linear classifier whose clients send places and values of their largest changes."""

    KEPT = 130

    def initial(self) -> Arrays:
        """Return zeros, coefficients and intercepts in one matrix."""
        return {"weights": np.zeros((65, 10), np.float32)}

    def train(
        self, arrays: Arrays, *, partition: int, config: Config, state: RecordDict
    ) -> Trained:
        """Take steps of gradient descent and send a fifth of the change."""
        x, y = client_digits(partition)
        x, wanted = np.c_[x, np.ones(len(x))].astype(np.float32), np.eye(10, dtype=np.float32)[y]
        start = arrays["weights"]
        weights = start.copy()
        for _ in range(30):
            p = np.exp(x @ weights - (x @ weights).max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            weights -= 0.5 * x.T @ (p - wanted) / len(y)
        change = (weights - start).ravel()
        places = np.sort(np.argsort(np.abs(change), kind="stable")[-self.KEPT - partition :])
        sent = {"places": places.astype(np.int64), "values": change[places]}
        return Trained(sent, softmax_score(x @ weights, y).loss, train_examples(partition))

    def evaluate(self, arrays: Arrays, *, partition: int, state: RecordDict) -> Score:
        """Return loss and accuracy."""
        x, y = test_digits()
        return softmax_score(np.c_[x, np.ones(len(x))] @ arrays["weights"], y)


class Histogram(Model):
    """Analytics: nothing goes down at first, and counts of integers come up."""

    def initial(self) -> Arrays:
        """Return nothing."""
        return {}

    def train(
        self, arrays: Arrays, *, partition: int, config: Config, state: RecordDict
    ) -> Trained:
        """Count pixels of each brightness."""
        x, y = client_digits(partition)
        counts = np.histogram(x, bins=10, range=(0, 1))[0].astype(np.int64)
        return Trained({"hist": counts}, float(len(arrays)), len(y))

    def evaluate(self, arrays: Arrays, *, partition: int, state: RecordDict) -> Score:
        """Return a loss that depends on all counts."""
        counts = np.concatenate([np.zeros(1), *arrays.values()])
        return Score(float(counts @ np.arange(len(counts))) / 1e6, None, 10)


class Counters(Model):
    """Frozen weights beside integers and switches that change in every round."""

    def initial(self) -> Arrays:
        """Return ones, zeros and switches that are off."""
        return {
            "weights": np.ones((4, 3), np.float32),
            "steps": np.zeros(2, np.int64),
            "seen": np.zeros((), np.int32),
            "on": np.zeros(3, np.bool_),
        }

    def train(
        self, arrays: Arrays, *, partition: int, config: Config, state: RecordDict
    ) -> Trained:
        """Count, and turn a switch."""
        steps, seen = arrays["steps"] + 1 + partition, np.asarray(arrays["seen"] + np.int32(5))
        on = np.arange(3) == config["server-round"] % 3
        sent = arrays | {"steps": steps, "seen": seen, "on": on}
        return Trained(sent, 1.0, train_examples(partition))

    def evaluate(self, arrays: Arrays, *, partition: int, state: RecordDict) -> Score:
        """Return a loss that depends on all arrays."""
        parts = [np.sum(array * np.arange(1, array.size + 1).reshape(array.shape)) for array in
                 arrays.values()]  # fmt: skip
        return Score(float(np.sum(parts)) / 100, None, 10)


class LegacyLast(LegacyFedAvg):
    """Take the reply of the last client as it is."""

    def aggregate_fit(self, server_round: int, results: Any, failures: Any) -> Any:
        """Return the last reply."""
        return (results[-1][1].parameters if results else None), {}


class Last(FedAvg):
    """The same on the message API."""

    def aggregate_train(self, server_round: int, replies: Any) -> Any:
        """Return the last reply."""
        valid, _ = self._check_and_log_replies(replies, is_train=True)
        return (next(iter(valid[-1].content.array_records.values())) if valid else None), None


def _in_halves(values: list[Any]) -> list[Any]:
    return values[: len(values) // 2]


class LegacyFirstHalf(LegacyFedAvg):
    """FedAvg of all arrays of a reply; the next broadcast has the first half of them."""

    def aggregate_fit(self, server_round: int, results: Any, failures: Any) -> Any:
        """Average, and keep half."""
        parameters, metrics = super().aggregate_fit(server_round, results, failures)
        if parameters is not None:
            half = _in_halves(parameters_to_ndarrays(parameters))
            parameters = ndarrays_to_parameters(half)
        return parameters, metrics


class FirstHalf(FedAvg):
    """The same on the message API."""

    def aggregate_train(self, server_round: int, replies: Any) -> Any:
        """Average, and keep half."""
        arrays, metrics = super().aggregate_train(server_round, replies)
        if arrays is not None:
            arrays = ArrayRecord(dict(_in_halves(list(arrays.items()))))
        return arrays, metrics


def _scattered(weights: Any, replies: list[tuple[Any, Any]]) -> Any:
    """Return weights plus the mean of changes given by places and values."""
    total = np.zeros(weights.size, np.float32)
    for places, values in replies:
        total[places] += values / len(replies)
    return weights + total.reshape(weights.shape)


class LegacyScatter(LegacyFedAvg):
    """Add changes that are given by places and values."""

    def configure_fit(self, server_round: int, parameters: Any, client_manager: Any) -> Any:
        """Keep what is sent."""
        (self._weights,) = parameters_to_ndarrays(parameters)
        return super().configure_fit(server_round, parameters, client_manager)

    def aggregate_fit(self, server_round: int, results: Any, failures: Any) -> Any:
        """Add the changes."""
        if not results:
            return None, {}
        replies = [parameters_to_ndarrays(result.parameters) for _, result in results]
        return ndarrays_to_parameters([_scattered(self._weights, replies)]), {}


class Scatter(FedAvg):
    """The same on the message API."""

    def configure_train(self, server_round: int, arrays: Any, config: Any, grid: Any) -> Any:
        """Keep what is sent."""
        self._weights = arrays["weights"].numpy()
        return super().configure_train(server_round, arrays, config, grid)

    def aggregate_train(self, server_round: int, replies: Any) -> Any:
        """Add the changes."""
        valid, _ = self._check_and_log_replies(replies, is_train=True)
        if not valid:
            return None, None
        records = [next(iter(reply.content.array_records.values())) for reply in valid]
        pairs = [(r["places"].numpy(), r["values"].numpy()) for r in records]
        return ArrayRecord({"weights": Array(_scattered(self._weights, pairs))}), None
