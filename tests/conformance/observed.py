"""Strategies that show what they send and get, and that do the same in every run.

flwr hands replies over in the order of its threads, and samples nodes and draws noise from global
generators. Here replies are sorted by node and the generators are seeded in each call, so that two
runs of a strategy differ only by what arrived. It is done in a subclass, so what is wrapped is
still the strategy that flwr exports.
"""

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from flwr.server.client_manager import ClientManager
from flwr.server.strategy import Strategy as LegacyStrategy
from flwr.serverapp.strategy import Strategy as MessageStrategy

from tests.conformance.witness import Witness, seen_in_parameters, seen_in_record


def observed(kind: type, witness: Witness) -> type:
    """Return a subclass of a strategy's class, of either API, that a witness watches."""
    if issubclass(kind, LegacyStrategy):
        watcher: type = _ObservedLegacy
    elif issubclass(kind, MessageStrategy):
        watcher = _ObservedMessages
    else:
        raise TypeError(f"{kind.__name__} is no strategy of flwr: give a class of either API")
    return type(kind.__name__, (watcher, kind), {"witness": witness})


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global generators that flwr draws from, and put them back."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002 -- flwr draws noise from it
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002


class _ByNode(ClientManager):
    """A client manager whose samples are sorted by node; everything else is the inner one's."""

    def __init__(self, inner: ClientManager) -> None:
        self._inner = inner

    def sample(self, *given: Any, **named: Any) -> Any:
        return sorted(self._inner.sample(*given, **named), key=lambda client: int(client.cid))

    def num_available(self) -> int:
        return self._inner.num_available()

    def register(self, client: Any) -> bool:
        return self._inner.register(client)

    def unregister(self, client: Any) -> None:
        self._inner.unregister(client)

    def all(self) -> Any:
        return self._inner.all()

    def wait_for(self, num_clients: int, timeout: int = 86400) -> bool:
        return self._inner.wait_for(num_clients, timeout)


class _ObservedLegacy:
    witness: Witness

    def configure_fit(self, server_round: int, parameters: Any, client_manager: Any) -> Any:
        self.witness.server_round = server_round
        return self._configure("train", super().configure_fit, parameters, client_manager)

    def configure_evaluate(self, server_round: int, parameters: Any, client_manager: Any) -> Any:
        return self._configure("evaluate", super().configure_evaluate, parameters, client_manager)

    def _configure(self, purpose: str, configure: Any, parameters: Any, manager: Any) -> Any:
        server_round = self.witness.server_round
        with _seeded(server_round):
            asked = configure(server_round, parameters, _ByNode(manager))
        for client, instructions in asked:
            arrays = seen_in_parameters(instructions.parameters)
            self.witness.note_sent(purpose, int(client.cid), arrays)
        return asked

    def aggregate_fit(self, server_round: int, results: Any, failures: Any) -> Any:
        results = sorted(results, key=lambda result: int(result[0].cid))
        self.witness.replies.append(("train", server_round, len(results), len(failures)))
        for client, result in results:
            arrays = seen_in_parameters(result.parameters)
            self.witness.note_arrived("train", int(client.cid), arrays)
        with _seeded(server_round):
            parameters, metrics = super().aggregate_fit(server_round, results, failures)
        if parameters is not None:
            self.witness.arrays = seen_in_parameters(parameters)
        self.witness.metrics.append(("train", server_round, dict(metrics)))
        return parameters, metrics

    def aggregate_evaluate(self, server_round: int, results: Any, failures: Any) -> Any:
        results = sorted(results, key=lambda result: int(result[0].cid))
        self.witness.replies.append(("evaluate", server_round, len(results), len(failures)))
        self.witness.scores[server_round] = [
            (result.loss, result.metrics.get("accuracy"), result.num_examples)
            for _, result in results
        ]
        loss, metrics = super().aggregate_evaluate(server_round, results, failures)
        self.witness.metrics.append(("evaluate", server_round, {"loss": loss, **metrics}))
        return loss, metrics


class _ObservedMessages:
    witness: Witness

    def configure_train(self, server_round: int, arrays: Any, config: Any, grid: Any) -> Any:
        self.witness.server_round = server_round
        return self._configure("train", super().configure_train, arrays, config, grid)

    def configure_evaluate(self, server_round: int, arrays: Any, config: Any, grid: Any) -> Any:
        return self._configure("evaluate", super().configure_evaluate, arrays, config, grid)

    def _configure(self, purpose: str, configure: Any, *given: Any) -> Any:
        server_round = self.witness.server_round
        with _seeded(server_round):
            messages = sorted(configure(server_round, *given), key=_receiver)
        for message in messages:
            for record in message.content.array_records.values():
                arrays = seen_in_record(record)
                self.witness.note_sent(purpose, _receiver(message), arrays)
        return messages

    def aggregate_train(self, server_round: int, replies: Iterable[Any]) -> Any:
        replies = self._received("train", server_round, replies)
        for reply in replies:
            if reply.has_content():
                for record in reply.content.array_records.values():
                    arrays = seen_in_record(record)
                    self.witness.note_arrived("train", _sender(reply), arrays)
        with _seeded(server_round):
            arrays, metrics = super().aggregate_train(server_round, replies)
        if arrays is not None:
            self.witness.arrays = seen_in_record(arrays)
        self.witness.metrics.append(("train", server_round, dict(metrics or {})))
        return arrays, metrics

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Any]) -> Any:
        replies = self._received("evaluate", server_round, replies)
        told = [m for reply in replies if reply.has_content()
                for m in reply.content.metric_records.values()]  # fmt: skip
        self.witness.scores[server_round] = [
            (m["loss"], m.get("accuracy"), m["num-examples"]) for m in told
        ]
        metrics = super().aggregate_evaluate(server_round, replies)
        self.witness.metrics.append(("evaluate", server_round, dict(metrics or {})))
        return metrics

    def _received(self, purpose: str, server_round: int, replies: Iterable[Any]) -> list[Any]:
        replies = sorted(replies, key=_sender)
        failures = sum(reply.has_error() for reply in replies)
        counts = (purpose, server_round, len(replies) - failures, failures)
        self.witness.replies.append(counts)
        return replies


def _receiver(message: Any) -> int:
    return message.metadata.dst_node_id


def _sender(message: Any) -> int:
    return message.metadata.src_node_id
