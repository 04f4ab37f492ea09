"""Rounds written by hand on a grid, without a strategy, on the message API."""

from collections.abc import Callable
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid, ServerApp

from tests.conformance.model import Model
from tests.conformance.wire import grid_behind_wire
from tests.conformance.witness import Witness, seen_in_record

Next = Callable[[ArrayRecord, list[ArrayRecord]], ArrayRecord]
"""Makes the arrays of the next round from those sent and those received."""


def mean(sent: ArrayRecord, received: list[ArrayRecord]) -> ArrayRecord:
    """Return the mean of what was received, in the types in which it came."""
    return ArrayRecord({name: Array(_mean_of(name, received)) for name in received[0]})


def _mean_of(name: str, records: list[ArrayRecord]) -> Any:
    values = [record[name].numpy() for record in records]
    return np.asarray(np.mean(values, axis=0)).astype(values[0].dtype)


def nothing(sent: ArrayRecord, received: list[ArrayRecord]) -> ArrayRecord:
    """Return what was sent, which asks the same question again."""
    return sent


def loop_server_app(
    model: Model,
    follow: Next,
    witness: Witness,
    *,
    message_type: str,
    codec: str | None,
    rounds: int,
) -> ServerApp:
    """Return a server that sends, receives and evaluates in a loop of its own.

    Parameters
    ----------
    model : Model
        Whose arrays are sent first.
    follow : callable
        Makes the arrays of the next round.
    witness : Witness
        Notes what is sent and received.
    message_type : {"train", "query"}
        What the messages with arrays ask for.
    codec : str or None
        The wire's codec; None is plain Flower.
    rounds : int
        Number of rounds.
    """
    server = ServerApp()

    @server.main()
    def main(inner: Grid, context: Context) -> None:
        grid = grid_behind_wire(inner, codec)
        arrays = ArrayRecord({k: Array(v) for k, v in model.initial().items()})
        for server_round in range(1, rounds + 1):
            witness.server_round = server_round
            replies = _asked(grid, message_type, arrays, witness)
            received = [next(iter(reply.content.array_records.values())) for reply in replies]
            for reply, record in zip(replies, received, strict=True):
                node = reply.metadata.src_node_id
                witness.note_arrived(message_type, node, seen_in_record(record))
            arrays = follow(arrays, received)
            witness.arrays = seen_in_record(mean(arrays, received))
            scores = _asked(grid, "evaluate", arrays, witness)
            witness.scores[server_round] = [_score(reply) for reply in scores]

    return server


def _asked(grid: Grid, message_type: str, arrays: ArrayRecord, witness: Witness) -> list[Message]:
    server_round = witness.server_round
    content = {"arrays": arrays, "config": ConfigRecord({"server-round": server_round})}
    nodes = sorted(grid.get_node_ids())
    messages = [Message(RecordDict(content), node, message_type) for node in nodes]
    for node in nodes:
        witness.note_sent(message_type, node, seen_in_record(arrays))
    replies = sorted(grid.send_and_receive(messages), key=lambda m: m.metadata.src_node_id)
    valid = [reply for reply in replies if reply.has_content()]
    failures = len(nodes) - len(valid)
    witness.replies.append((message_type, server_round, len(valid), failures))
    return valid


def _score(reply: Message) -> tuple[Any, Any, Any]:
    metrics: MetricRecord = next(iter(reply.content.metric_records.values()))
    return metrics["loss"], metrics.get("accuracy"), metrics["num-examples"]
